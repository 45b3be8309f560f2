"""Checks that a file is complete, by the lengths that its headers declare.

FFmpeg silently opens a truncated .mkv or .avi and gives fewer frames, and skips damaged parts of an
.mkv; but the headers of both, and of .mp4, declare how long the file and its parts are.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from vidda.video.video_error import VideoError

HEAD_BYTES = 4096

# The elements of Matroska, RFC 9559 section 5.1.
SEGMENT, CLUSTER = 0x18538067, 0x1F43B675
VOID, CRC = 0xEC, 0xBF
# SeekHead, Info, Tracks, Cues, Chapters, Tags, Attachments
IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469}
# Timestamp, SimpleBlock, BlockGroup, PrevSize, Position, SilentTracks
IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854}


# The boxes of an MP4 without which frames are missing.
WITH_FRAMES = (b"moov", b"mdat", b"moof")


def require_complete(path: Path) -> int:
    """Check that a file is complete; return how many bytes follow an MP4's last box, else 0.

    Raises VideoError where a file is missing, empty, or shorter than its headers declare. MP4, AVI
    and Matroska (with WebM) are known; of other containers only the first two are checked.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise VideoError(f"{path}: the file is empty (0 bytes); fetch it again")
        with path.open("rb") as file:
            declared, extra = _declared_size(path, file, size)
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file") from None
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror}") from None
    if declared > size:
        raise VideoError(
            f"{path}: truncated: {size} bytes of the {declared} its header declares; fetch it again"
        )
    return extra


def _declared_size(path: Path, file: BinaryIO, size: int) -> tuple[int, int]:
    """Return how many bytes the header declares, 0 where it does not, and how many follow."""
    head = file.read(HEAD_BYTES)
    if head[4:8] == b"ftyp":
        return _end_of_boxes(file, size)
    if head[:4] == b"RIFF":
        # Only the first chunk: a long AVI adds others. A recording that was broken off has size 0.
        length = struct.unpack("<I", head[4:8].ljust(4, b"\0"))[0]
        return (0 if length in (0, 0xFFFFFFFF) else 8 + length), 0
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _end_of_segment(path, file, head, size), 0
    return 0, 0


def _end_of_boxes(file: BinaryIO, size: int) -> tuple[int, int]:
    """Return the byte at which the last top-level box of an MP4 ends, and how many bytes follow it.

    A box that does not fit into the file and could not hold frames is not counted: cameras and
    editors append their own data there.
    """
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 and head[4:8] in WITH_FRAMES:  # this box extends to the end of the file
            return size, 0
        end = position + max(length, 8)
        if (length < 8 or end > size) and head[4:8] not in WITH_FRAMES:
            return position, size - position
        position = end
    return position, 0


def _end_of_segment(path: Path, file: BinaryIO, head: bytes, size: int) -> int:
    """Return the byte at which a Matroska segment ends, 0 where its length is not declared."""
    header_length, header_end, _ = _read_varint(head, 4)
    at = header_end + header_length
    if int.from_bytes(head[at : at + 4], "big") != SEGMENT:
        return 0
    length, start, unknown = _read_varint(head, at + 4)
    if unknown:
        return 0
    if start + length <= size:
        _require_chain(path, file, start, start + length, IN_SEGMENT | {CLUSTER, VOID, CRC})
    return start + length


def _require_chain(path: Path, file: BinaryIO, start: int, end: int, known: set[int]) -> None:
    """Raise VideoError unless known elements follow one another from `start` exactly to `end`."""
    at = start
    while at < end:
        file.seek(at)
        head = file.read(12)
        id_width = 9 - head[0].bit_length()
        element = int.from_bytes(head[:id_width], "big")
        length, width, unknown = _read_varint(head, id_width)
        if unknown:
            return
        body, at = at + width, at + width + length
        if element not in known or at > end:
            raise VideoError(f"{path}: corrupt at byte {body - width}; fetch it again")
        if element == CLUSTER:
            _require_chain(path, file, body, at, IN_CLUSTER | {VOID, CRC})


def _read_varint(data: bytes, at: int) -> tuple[int, int, bool]:
    """Return EBML's variable-length number at byte `at`, the byte after it, and whether it means
    unknown.
    """
    width = 9 - int.from_bytes(data[at : at + 1], "big").bit_length()
    largest = (1 << 7 * width) - 1
    number = int.from_bytes(data[at : at + width], "big") & largest
    return number, at + width, number == largest


def avi_chunks(path: Path, track: int) -> tuple[int, int]:
    """Return the numbers of filled and of empty chunks of one track of an AVI.

    track: its number, from 0. A recorder writes an empty chunk where it dropped a frame. Raises
    VideoError where the chain of chunks is broken.
    """
    wanted, counts = f"{track:02d}".encode(), [0, 0]
    size = path.stat().st_size
    with path.open("rb") as file:
        at = end = 0
        while at + 8 <= size:
            file.seek(at)
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"RIFF":
                end = min(size, at + 8 + length) if length else size
            elif at >= end:  # what follows the last RIFF is not video
                break
            elif not name.strip().isalnum():
                raise VideoError(f"{path}: corrupt at byte {at}; fetch it again")
            if name[:2] == wanted and name[2:] in (b"dc", b"db"):
                counts[length == 0] += 1
            inside = name == b"RIFF" or (name == b"LIST" and file.read(4) in (b"movi", b"rec "))
            at += 12 if inside else 8 + length + length % 2
    return counts[0], counts[1]
