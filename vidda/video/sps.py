"""H.264's sequence parameter sets (SPS), parsed for one fact: whether fields may be coded.

FFmpeg reports it of each frame only after decoding it; a recording from television may begin with
whole frames and continue with fields.
"""

from vidda.video.bitstream import nal_units

SPS = 7
# Profiles that declare the format of their samples (ITU-T H.264, 7.3.2.1.1).
HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


def codes_fields(data: bytes, length: int) -> bool:
    """Return whether a packet of H.264 holds a parameter set that allows interlaced fields.

    data: the packet. length: bytes of the length before each NAL unit, from
    `bitstream.nal_length_size`; 0 where start codes separate the units.
    """
    sets = (data[start:end] for start, end in nal_units(data, length) if data[start] & 31 == SPS)
    return any(_set_codes_fields(nal) for nal in sets)


def extradata_codes_fields(extradata: bytes) -> bool:
    """Return whether a stream's extradata holds a parameter set that allows fields.

    extradata: avcC (ISO/IEC 14496-15, 5.3.3.1), or NAL units with start codes.
    """
    if extradata[:1] != b"\1":
        return codes_fields(extradata, 0)
    at, found = 6, False
    for _ in range(extradata[5] & 31 if len(extradata) > at else 0):
        size = int.from_bytes(extradata[at : at + 2], "big")
        found = found or _set_codes_fields(extradata[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def _set_codes_fields(nal: bytes) -> bool:
    bits = _BitReader(nal[1:].replace(b"\0\0\3", b"\0\0"))
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.number()
    if profile in HIGH:
        _skip_samples(bits)
    bits.number()
    order = bits.number()
    if order == 0:
        bits.number()
    elif order == 1:
        bits.take(1)
        bits.numbers(2)
        bits.numbers(bits.number())
    bits.number()
    bits.take(1)
    bits.numbers(2)
    return not bits.take(1)  # frame_mbs_only_flag


def _skip_samples(bits: "_BitReader") -> None:
    """Skip chroma format, depth and scaling lists."""
    chroma = bits.number()
    if chroma == 3:
        bits.take(1)
    bits.numbers(2)
    bits.take(1)
    if bits.take(1):
        for size in [16] * 6 + [64] * (6 if chroma == 3 else 2):
            last = following = 8
            for _ in range(size if bits.take(1) else 0):
                if following:
                    code = bits.number()
                    following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
                last = following or last


class _BitReader:
    """A reader of bits and Exp-Golomb numbers; beyond the end all bits are 1."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, count: int) -> int:
        self.at += count
        return int(self.text[self.at - count : self.at].ljust(count, "1"), 2)

    def number(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + (self.take(zeros) if zeros else 0)

    def numbers(self, count: int) -> None:
        for _ in range(min(count, 255)):
            self.number()
