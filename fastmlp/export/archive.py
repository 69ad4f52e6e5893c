"""The zip archive of a model file, which is looked at before anything in it is unpacked."""

import io
import json
import math
import re
import struct
import zipfile
from typing import IO, Any

import numpy as np

MANIFEST = "fastmlp.json"
SCHEMA = "schema.json"
_MEMBER = re.compile(r"[0-9]+\.npy|" + re.escape(SCHEMA) + "|" + re.escape(MANIFEST))
_LARGEST_MANIFEST = 64 * 1024

# All members together may be this many times as large as the file, and a little more. What is
# compressed better, such as weights of zeros, is written without compression.
_MOST_COMPRESSED, _ALWAYS_ALLOWED = 50, 64 * 2**20
# Text of this length may have any number of brackets and commas. Longer text has to have at least
# so many characters for each, since an empty list of two characters takes much more memory.
_ANY_TEXT, _FEWEST_CHARACTERS = 2**20, 12
# Bits of a member's flags: the level of compression, a size that follows, a name in UTF-8.
_KNOWN_FLAGS = 0x080E

_ARRAY_TYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
}  # fmt: skip
_MOST_DIMENSIONS = 2
_HEADER = re.compile(
    rb"\{'descr': '[<>|=][A-Za-z][0-9]+(?:\[[0-9]*[A-Za-z]+\])?', "
    rb"'fortran_order': (?:True|False), "
    rb"'shape': \((?:[0-9]{1,19}, ?){0,32}(?:[0-9]{1,19})?\), \} *\n"
)


class RefusedError(Exception):
    """What a model file must not hold; the message says what and where."""


class Archive:
    """The members of a model file.

    Parameters
    ----------
    file : binary file
        It can be read at any position.

    Raises
    ------
    RefusedError
        When it is not an archive of the members of a model alone, or when they take too much
        memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        size = file.seek(0, io.SEEK_END)
        if _bytes_at(file, 0, 4) != b"PK\x03\x04" or _bytes_at(file, size - 22, 4) != b"PK\x05\x06":
            raise RefusedError("there is something before or after the archive")
        self._zip = zipfile.ZipFile(file)
        if min((info.header_offset for info in self._zip.infolist()), default=0) > 0:
            raise RefusedError("there is something before the archive")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            if info.orig_filename in self._members:
                raise RefusedError(f"it holds {info.orig_filename!r} twice")
            _check_member(info)
            if info.header_offset + info.compress_size > self._zip.start_dir:
                raise RefusedError(f"{info.filename!r} is larger than the archive")
            self._members[info.orig_filename] = info
        if missing := {MANIFEST, SCHEMA} - self._members.keys():
            raise RefusedError(f"it has no {missing.pop()}")
        if unpacked_size(self._zip) > largest_size(size):
            raise RefusedError("it would take far more memory than its size allows")
        self._arrays: dict[str, np.ndarray] = {}

    def schema(self) -> Any:
        """Return what the schema says, of which nothing has been checked but that it is JSON."""
        text = self._read(SCHEMA)
        n_marks = sum(text.count(mark) for mark in (b"{", b"[", b","))
        if len(text) > _ANY_TEXT and len(text) < _FEWEST_CHARACTERS * n_marks:
            raise RefusedError("its schema would take far more memory than its size allows")
        return parse_json(text)

    def array(self, name: Any) -> np.ndarray:
        """Return the array in a member; the same one whenever it is asked for.

        Raises
        ------
        RefusedError
            When there is no such member, or it is not an array of numbers, text or dates of the
            size that it says.
        """
        if not isinstance(name, str) or not name.endswith(".npy") or name not in self._members:
            raise RefusedError(f"it has no array {name!r}")
        if name not in self._arrays:
            self._arrays[name] = _array(self._read(name), name)
        return self._arrays[name]

    def check_all_used(self) -> None:
        """Raise RefusedError if the archive has arrays that nobody has asked for."""
        if unused := self._members.keys() - self._arrays.keys() - {MANIFEST, SCHEMA}:
            raise RefusedError(f"it has an array {unused.pop()!r} that belongs to nothing")

    def _read(self, name: str) -> bytes:
        return _unpacked(self._zip, self._members[name])


def read_manifest_text(file: IO[bytes]) -> bytes:
    """Return the manifest of an archive as it stands there.

    Raises
    ------
    RefusedError
        When there is none, or more than one, or when it is too large.
    """
    archive = zipfile.ZipFile(file)
    found = [info for info in archive.infolist() if info.orig_filename == MANIFEST]
    if len(found) != 1 or found[0].file_size > _LARGEST_MANIFEST:
        raise RefusedError("it has no manifest")
    _check_member(found[0])
    return _unpacked(archive, found[0])


def largest_size(file_size: int) -> int:
    """Return how many bytes the members of a file may have together, once they are unpacked."""
    return _MOST_COMPRESSED * file_size + _ALWAYS_ALLOWED


def unpacked_size(archive: zipfile.ZipFile) -> int:
    """Return how many bytes the members of an archive have together, once they are unpacked."""
    return sum(info.file_size for info in archive.infolist())


def parse_json(text: bytes | str) -> Any:
    """Parse JSON as the standard has it, where no object may have a name twice.

    Raises
    ------
    RefusedError
        When a name occurs twice, or a number is not finite.
    ValueError
        When it is not JSON.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_constant)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("two entries of an object have the same name")
    return found


def _no_constant(name: str) -> Any:
    raise RefusedError(f"{name} is no number of JSON")


def _bytes_at(file: IO[bytes], place: int, n: int) -> bytes:
    file.seek(max(0, place))
    return file.read(n)


def _check_member(info: zipfile.ZipInfo) -> None:
    """Raise RefusedError unless this is a member that model files have, not encrypted."""
    name = info.orig_filename
    if not _MEMBER.fullmatch(name) or info.filename != name:
        raise RefusedError(f"it holds {name!r}, which belongs to no model")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError(f"{name!r} is compressed in an unknown way")
    if info.flag_bits & ~_KNOWN_FLAGS:
        raise RefusedError(f"{name!r} is encrypted")
    if name == MANIFEST and info.file_size > _LARGEST_MANIFEST:
        raise RefusedError("its manifest is too large")


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        content = member.read(info.file_size)
        if len(content) != info.file_size or member.read(1):
            raise RefusedError(f"{info.filename!r} has another size than the archive says")
    return content


def _array(content: bytes, name: str) -> np.ndarray:
    """Read an array in NumPy's format; what its header says is checked before room is made."""
    # NumPy evaluates the header as an expression, and warns of what old versions wrote.
    sizes = {b"\x93NUMPY\x01\x00": "<H", b"\x93NUMPY\x02\x00": "<I"}
    if content[:8] not in sizes:
        raise RefusedError(f"{name!r} is no array in a known version of NumPy's format")
    size = sizes[content[:8]]
    start = 8 + struct.calcsize(size)
    (length,) = struct.unpack_from(size, content, 8)
    if not _HEADER.fullmatch(content, start, start + length):
        raise RefusedError(f"{name!r} has a header that NumPy would not write")
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if size == "<H"
        else (np.lib.format.read_array_header_2_0)
    )
    shape, _, dtype = read(file)
    is_text_or_date = dtype.kind in "UM" and dtype.itemsize > 0
    if not (dtype.isnative and (is_text_or_date or dtype.name in _ARRAY_TYPES)):
        raise RefusedError(f"{name!r} is an array of {dtype}")
    if len(shape) > _MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedError(f"{name!r} has the shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise RefusedError(f"{name!r} has another size than its shape {shape} needs")
    file.seek(0)
    array: np.ndarray = np.load(file, allow_pickle=False)
    if dtype.kind == "U":
        points = array.reshape(-1).view(np.uint32)
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points <= 0xDFFF))).any():
            raise RefusedError(f"{name!r} has text that is not Unicode")
    if dtype.kind == "b" and (array.reshape(-1).view(np.uint8) > 1).any():
        raise RefusedError(f"{name!r} has truth values that are neither true nor false")
    return array
