"""Inspection of a video's packets: how many frames, how reliably, and which reader is right.

Decord's random access is right only for some containers and codecs; on the others it silently gives
wrong frames. Its packets decide whether a file is a good one, not its suffix.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vidda.video import bitstream, sps
from vidda.video.completeness import avi_chunks
from vidda.video.container import open_video
from vidda.video.video_error import VideoError

CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}

BEGINS_WITHIN = "begins within a group of pictures"
EDITED = "an edit list hides frames"
GAP = "packets between others are missing"
CUT = "its last packet is cut"

# Doubts that decoding may refute.
DECODABLE_DOUBTS = {bitstream.TOO_SMALL, GAP}

# Containers that do not declare how much they hold.
WITHOUT_LENGTH = {"mpegts", "mpeg", "mpegvideo"}

# Decoders that leave out a B-frame whose neighbors they did not receive.
DROP_B_FRAMES = {"hevc", "mpeg4", "mpeg1video", "mpeg2video"}


class Packets:
    """The facts that the index needs of a video's packets, added in decoding order.

    pts: presentation time stamps, None where a packet has none. keys: which are key frames.
    b_frames: whether frames are displayed in another order than decoded.
    fields: whether it is H.264 that may code fields, of which a packet may hold one.
    notes: oddities of the file as a whole.
    count_doubt: why its packets may not be counted as frames and have to be decoded, or "".
    seek_flaw: why random access is unsafe, or "".
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.name = CONTAINERS.get(container.format.name, container.format.name)
        self.codec = stream.codec_context.name
        extradata = stream.codec_context.extradata or b""
        self.nal_length = bitstream.nal_length_size(self.codec, extradata)
        self.fields = self.codec == "h264" and sps.extradata_codes_fields(extradata)
        self.pts: list[int | None] = []
        self.keys: list[bool] = []
        self.notes: list[str] = []
        self.unknown_codec = f"packets of {self.codec} are not known to hold one frame each"
        self.count_doubt = (
            "" if self.codec in bitstream.ONE_FRAME_PER_PACKET else self.unknown_codec
        )
        self.seek_flaw = ""
        self.not_counted = 0  # hidden by an edit list, or empty
        self.b_frames = False
        self.end = 0  # of the last packet, in ticks
        self.last_groups: tuple[list[Packet], list[Packet]] = ([], [])

    def add(self, packet: Packet) -> None:
        """Add one packet; the empty one that ends every stream is ignored."""
        if not packet.size and packet.pts is None:
            return
        if packet.is_discard or not packet.size:
            self.not_counted += 1
            self.count_doubt = self.count_doubt or (
                EDITED if packet.is_discard else "holds empty packets"
            )
            return
        self.pts.append(packet.pts)
        self.keys.append(packet.is_keyframe)
        self.end = max(self.end, (packet.pts or 0) + (packet.duration or 0))
        self.seek_flaw = self.seek_flaw or self._seek_flaw(packet)
        self.count_doubt = self.count_doubt or self._count_doubt(packet)
        if self.name in WITHOUT_LENGTH:
            if packet.is_keyframe:
                self.last_groups = (self.last_groups[1], [])
            self.last_groups[1].append(packet)

    def _seek_flaw(self, packet: Packet) -> str:
        kind = (self.codec, self.name)
        if kind in (("h264", "mp4"), ("h264", "matroska")):
            if packet.is_keyframe:
                return self._group_flaw(bytes(packet))
        elif kind not in (("vp8", "matroska"), ("mpeg4", "avi")):
            return f"decord's seeks are not right for {self.codec} in {self.name}"
        return ""

    def _group_flaw(self, data: bytes) -> str:
        if not (self.nal_length and bitstream.has_idr(data, self.nal_length)):
            return "groups of pictures are open"
        self.fields = self.fields or sps.codes_fields(data, self.nal_length)
        return ""

    def _count_doubt(self, packet: Packet) -> str:
        if len(self.pts) == 1 and not self._starts(packet):
            return BEGINS_WITHIN
        if self.codec not in bitstream.INSPECTED:
            return ""
        return bitstream.count_doubt(self.codec, bytes(packet), self.nal_length)

    def _starts(self, packet: Packet) -> bool:
        """Return whether decoding can begin here; some key frames of H.264 do not allow it."""
        idr = self.codec != "h264" or bitstream.has_idr(bytes(packet), self.nal_length)
        return packet.is_keyframe and idr

    def conclude(self, container: InputContainer, stream: VideoStream) -> None:
        """Set what depends on all packets, after the last one was added.

        Raises VideoError where there are fewer of them than the header declares.
        """
        known = [p for p in self.pts if p is not None]
        if len(set(known)) < len(self.pts):
            whole = "time stamps are missing or repeat"
        elif self.keys and (not self.keys[0] or min(known) < known[self.keys.index(True)]):
            whole = BEGINS_WITHIN
        else:
            whole = ""
        self.b_frames = known != sorted(known)
        self.count_doubt = self.count_doubt or whole or self._gap(known) or self._cut(stream)
        if self.name == "mp4" and stream.frames not in (0, len(self.pts) + self.not_counted):
            if self._samples(stream.frames) != len(self.pts) + self.not_counted:
                self.count_doubt = self.count_doubt or EDITED
        elif self.name == "avi" and len(self.pts) + self.not_counted < stream.frames:
            self._require_all_chunks(stream.index)
        elif self.name == "matroska" and len(container.streams) == 1 and known:
            self._require_duration((container.duration or 0) / 1e6, float(stream.time_base or 0))
        self.seek_flaw = self.seek_flaw or (
            "" if self.count_doubt in DECODABLE_DOUBTS else self.count_doubt
        )
        if self.name == "avi" and self.b_frames:
            self.seek_flaw = self.seek_flaw or "decord's seeks are not right for B-frames in avi"

    def compare(self, decoded: Sequence[int | None]) -> None:
        """Note how the decoded frames differ from the packets. decoded: their time stamps."""
        reason = self.count_doubt or "interlaced"
        if list(decoded) != sorted(self.pts, key=lambda p: p or 0):
            self.seek_flaw = self.seek_flaw or reason
        if len(decoded) != len(self.pts):
            self.notes.append(f"{reason}: {len(self.pts)} packets give {len(decoded)} frames")
        elif self.count_doubt not in ("", self.unknown_codec, *DECODABLE_DOUBTS):
            self.notes.append(reason)

    def _gap(self, known: Sequence[int]) -> str:
        """Return GAP where packets are missing before some B-frame, else ""."""
        steps = np.diff(np.sort(known))
        wide = (
            self.b_frames and self.codec in DROP_B_FRAMES and steps.max() > 1.5 * np.median(steps)
        )
        return GAP if wide else ""

    def _cut(self, stream: VideoStream) -> str:
        """Return CUT where a stream ends with a packet that gives no frame, else ""."""
        if self.name not in WITHOUT_LENGTH:
            return ""
        codec = stream.codec_context
        codec.flush_buffers()
        found: set[int | None] = set()
        try:
            for packet in (*self.last_groups[0], *self.last_groups[1], None):
                found.update(frame.pts for frame in codec.decode(packet))
        except av.FFmpegError:  # which reading will report
            return ""
        return "" if found.issuperset(packet.pts for packet in self.last_groups[1]) else CUT

    def _samples(self, declared: int) -> int:
        """Count the frames of an MP4 without edit lists; raises VideoError where some are lost."""
        with open_video(self.path, edit_lists=False) as (container, stream):
            found = sum(packet.pts is not None for packet in container.demux(stream))
        if found < declared:
            self._refuse(f"{found} frames of the {declared}")
        return found

    def _require_all_chunks(self, track: int) -> None:
        """Raise VideoError for an AVI that lost frames; one recorded with gaps has empty chunks."""
        filled, empty = avi_chunks(self.path, track)
        found = len(self.pts) + self.not_counted
        if found < filled:
            self._refuse(f"{found} frames of the {filled}")
        if empty:
            self.notes.append(f"{empty} of its frames were dropped before it was written")

    def _require_duration(self, declared: float, tick: float) -> None:
        """Raise VideoError for a Matroska that ends early. declared: seconds. tick: seconds.

        FFmpeg leaves out what follows a damaged block. The file declares no count of frames, only a
        duration, which is of use where no other stream could be the one that lasts longer.
        """
        step = np.diff(np.sort([p for p in self.pts if p is not None])).max(initial=0) * tick
        if declared - self.end * tick > max(0.5, 2 * step):
            self._refuse(f"{self.end * tick:.2f} s of the {declared:.2f} s")

    def _refuse(self, what: str) -> None:
        raise VideoError(f"{self.path}: corrupt: holds {what} it declares; fetch it again")
