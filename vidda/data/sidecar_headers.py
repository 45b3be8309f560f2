"""Shapes and types of a sidecar's arrays, read from their headers without the arrays themselves."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.lib.npyio import NpzFile

from vidda.errors import ViddaError
from vidda.sidecar import open_sidecar

SUFFIX = ".npy"


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """The shape and type of an array in a file. by_columns: whether it is in Fortran's order."""

    shape: tuple[int, ...]
    dtype: np.dtype
    by_columns: bool


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """Return the headers of a sidecar's arrays, by name; raises ViddaError as `array_headers`."""
    with open_sidecar(path) as content:
        return array_headers(content, path)


def array_headers(content: NpzFile, path: Path) -> dict[str, ArrayHeader]:
    """Return the headers of an open sidecar's arrays, by name.

    path: of the file, for messages. Raises ViddaError where an array holds Python objects: reading
    those would run code of the file.
    """
    archive = cast(zipfile.ZipFile, content.zip)
    headers = {}
    for member in archive.namelist():
        with archive.open(member) as stream:
            headers[member.removesuffix(SUFFIX)] = read_header(stream)
    for name, header in headers.items():
        if header.dtype.hasobject:
            raise ViddaError(
                f"{path}: {name} holds Python objects, which are not loaded; write numbers or text"
            )
    return headers


def first_row(content: NpzFile, name: str) -> np.ndarray:
    """Return the first row of an open sidecar's array that has some, without decompressing the
    others.
    """
    row: np.ndarray = chosen_rows(content, name, np.zeros(1, int))[0]
    return row


def chosen_rows(content: NpzFile, name: str, numbers: np.ndarray) -> np.ndarray:
    """Return some rows of an open sidecar's array, (N, ...), without holding the others in memory.

    numbers: (N,) of rows that are there, ascending. What follows the last one is not decompressed.
    """
    archive = cast(zipfile.ZipFile, content.zip)
    with archive.open(f"{name}{SUFFIX}") as stream:
        header = read_header(stream)
        size = math.prod(header.shape[1:]) * header.dtype.itemsize
        start, pieces = stream.tell(), []
        for number in [] if header.by_columns else numbers.tolist():
            stream.seek(start + number * size)
            pieces.append(stream.read(size))
    if header.by_columns:  # a row is not in one piece
        whole: np.ndarray = content[name]
        return whole[numbers]
    return np.frombuffer(b"".join(pieces), header.dtype).reshape(len(numbers), *header.shape[1:])


def read_header(stream: IO[bytes]) -> ArrayHeader:
    """Return the header of an array, and leave the stream at the array's first value.

    Raises ValueError where the stream holds no array.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return _header(*np.lib.format.read_array_header_1_0(stream))
    return _header(*np.lib.format.read_array_header_2_0(stream))


def _header(shape: tuple[int, ...], by_columns: bool, dtype: np.dtype) -> ArrayHeader:
    return ArrayHeader(shape, dtype, by_columns)
