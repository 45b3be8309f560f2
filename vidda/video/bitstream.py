"""Facts about a packet's frames, read from its bits without decoding it.

FFmpeg's demuxers count packets; some packets hold no displayed frame, or two.
"""

from collections.abc import Iterator

# Decoders, by FFmpeg's names, that were found to give one frame for each packet, but for what
# `count_doubt` and the start of the stream report.
ONE_FRAME_PER_PACKET = {
    "h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg",
    "ffv1", "flv", "gif", "h263", "msmpeg4", "msmpeg4v2", "png", "prores", "rawvideo", "wmv1",
    "wmv2",
}  # fmt: skip

# Decoders whose packets `count_doubt` can inspect.
INSPECTED = {"vp8", "vp9", "mpeg4", "hevc"}

IDR_H264, BLA_HEVC, END_HEVC = 5, range(16, 19), 36

# A VOP that is "not coded" is its header alone (ISO/IEC 14496-2, 6.2.5).
LEAST_VOP = 10
TOO_SMALL = "some packets are too small for a frame"


def nal_length_size(codec: str, extradata: bytes) -> int:
    """Return how many bytes hold each NAL unit's length; 0 where start codes separate the units.

    codec: FFmpeg's name. extradata: the stream's, avcC or hvcC (ISO/IEC 14496-15, 5.3.3.1 and
    8.3.3.1).
    """
    at = {"h264": 4, "hevc": 21}.get(codec, 0)
    return (extradata[at] & 3) + 1 if at and extradata[:1] == b"\1" and len(extradata) > at else 0


def nal_units(data: bytes, length: int) -> Iterator[tuple[int, int]]:
    """Yield the position of the first byte and of the end of each NAL unit of a packet.

    data: the packet. length: bytes of the length before each unit, from `nal_length_size`; 0 where
    start codes separate the units.
    """
    at, size = 0, len(data)
    while length and at + length < size:
        start = at + length
        at = start + int.from_bytes(data[at:start], "big")
        yield start, at
    at = size if length else data.find(b"\0\0\1") + 3
    while 3 <= at < size:
        following = data.find(b"\0\0\1", at) + 3
        yield at, following - 3 if following > 2 else size
        at = following


def has_idr(data: bytes, length: int) -> bool:
    """Return whether a packet of H.264 holds a slice of an IDR picture (ITU-T H.264, table 7-1).

    data: the packet. length: bytes of the length before each NAL unit, from `nal_length_size`; 0
    where start codes separate the units.
    """
    return any(data[start] & 31 == IDR_H264 for start, _ in nal_units(data, length))


def count_doubt(codec: str, data: bytes, length: int) -> str:
    """Return why a packet may give other than one displayed frame, "" where it gives one.

    codec: FFmpeg's name. data: the packet. length: bytes of the length before each NAL unit, from
    `nal_length_size`; 0 where start codes separate the units.
    """
    if codec == "vp8" and not data[0] & 0x10:  # RFC 6386, section 9.1
        return "holds frames that are not shown"
    if codec == "vp9" and _shown_vp9(data) != 1:
        return "holds frames that are not shown"
    if codec == "mpeg4" and data.count(b"\0\0\1\xb6") != 1:
        return "packets hold other than one frame"
    if codec == "mpeg4" and len(data) < LEAST_VOP:
        return TOO_SMALL
    if codec == "hevc":
        types = {data[start] >> 1 & 63 for start, _ in nal_units(data, length)}
        if END_HEVC in types or not types.isdisjoint(BLA_HEVC):
            return "is joined from several pieces"
    return ""


def _shown_vp9(data: bytes) -> int:
    """Return how many frames of a VP9 packet are displayed (VP9 spec, 6.1, 7.2, annex B)."""
    marker, starts = data[-1], [0]
    if marker & 0xE0 == 0xC0:
        frames, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
        index = data[-2 - frames * width :]
        if index[0] == marker:
            sizes = [
                int.from_bytes(index[1 + n * width : 1 + (n + 1) * width], "little")
                for n in range(frames)
            ]
            starts = [sum(sizes[:n]) for n in range(frames) if sizes[n]]
    return sum(_is_shown_vp9(data[start]) for start in starts if start < len(data))


def _is_shown_vp9(head: int) -> bool:
    """Return, from a VP9 frame's first byte, whether it is displayed or displays an earlier one."""
    profile_3 = head >> 4 & 3 == 3
    bits = head if profile_3 else head >> 1
    return bool(bits & 0b101)
