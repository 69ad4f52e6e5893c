"""Where the bytes of a table come from: files, pipes, standard input and archives."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ..exceptions import DataError

BROKEN_ARCHIVE = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
HEAD = 1 << 16  # bytes that tell what a file is

_MOST_IN_MEMORY = 1 << 26
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|(https?|ftp|s3|gs|file):/", re.IGNORECASE)
_COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zip", ".zst", ".tar", ".tgz")
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh[1-9](1AY&SY|\x17rE8P)": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_FOREIGN_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR", b"\x1f\x9d": "compress (.Z)",
    b"\x04\x22\x4d\x18": "LZ4", b"LZIP": "lzip",
}  # fmt: skip
# Files of other programs that are zip archives, by a name in them.
_ZIPPED_FORMATS = {
    "xl/": "an Excel workbook; save the sheet as CSV",
    "word/": "a Word document; save its table as CSV",
    "ppt/": "a PowerPoint document; save its table as CSV",
    "content.xml": "a spreadsheet or another document of LibreOffice; save the sheet as CSV",
    "Index/Document.iwa": "a document of Numbers or Pages; export the table as CSV",
}


def is_address(name: str) -> bool:
    """Tell whether a name is an address, such as ``https://...``, rather than that of a file."""
    return _ADDRESS.match(name) is not None


class Source:
    """The bytes of a table, which can be read from the start several times.

    What can be read only once, such as a pipe, is copied: small input into memory, and the rest
    into a temporary file. Compression is recognised by the first bytes, whatever the name is.

    Parameters
    ----------
    origin : str, Path, or file-like object
        A file-like object is open for reading, bytes or text, and is read from where it is.

    Attributes
    ----------
    name : str
        How messages call it: the path as it was given.
    ending : str
        The ending of the name in lower case, without that of a compressed file, such as '.tsv'.
    claims_archive : bool
        Whether the name has the ending of a compressed file.
    is_text : bool
        Whether the origin was open for reading text, whose encoding is therefore known.

    Raises
    ------
    DataError
        When there is no file, when it cannot be read, and when it is an address, a folder or a
        device.
    """

    def __init__(self, origin: Any) -> None:
        self.is_text = False
        if hasattr(origin, "read"):
            named = getattr(origin, "name", "")
            self.name = named if isinstance(named, str) and named else "the file"
            if origin is sys.stdin or origin is getattr(sys.stdin, "buffer", None):
                self.name = "standard input"
            self._raw = self._copy(origin)
        else:
            self.name = os.fsdecode(origin)
            self._raw = self._open_path(self.name)
        name = self.name.lower()
        self.claims_archive = name.endswith(_COMPRESSED_ENDINGS)
        while name.endswith(_COMPRESSED_ENDINGS):
            name = name.rpartition(".")[0]
        self.ending = Path(name).suffix

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw.close()

    def head(self) -> bytes:
        """Return the first bytes of the table, as they are after decompression."""
        return self._open().read(HEAD)

    @contextmanager
    def text(self, encoding: str) -> Iterator[io.TextIOWrapper]:
        """Open the table as text from its start; line ends are kept as they are."""
        stream = io.TextIOWrapper(self._open(), encoding=encoding, newline="")
        try:
            yield stream
        finally:
            stream.detach()  # otherwise the bytes could not be read a second time

    @contextmanager
    def looked_at(self, encoding: str) -> Iterator[io.TextIOWrapper]:
        """Open the table as text from its start, and let who reads it already go on behind."""
        place = self._raw.tell()
        try:
            with self.text(encoding) as stream:
                yield stream
        finally:
            self._raw.seek(place)

    def share_read(self) -> float:
        """Return the share of the bytes that have been read, as they are in the file."""
        place = self._raw.tell()
        end = self._raw.seek(0, os.SEEK_END)
        self._raw.seek(place)
        return place / end if end else 1.0

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open the bytes of the table from the start, for a reader that goes back and forth."""
        yield self._open()

    def _open_path(self, path: str) -> IO[bytes]:
        if is_address(path):
            raise DataError(
                f"{path}: tables are not read from addresses; download the file and name it"
            )
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                raise DataError(f"{path}: this is a folder; give a CSV file")
            is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            if is_device and not os.path.samefile(path, os.devnull):
                raise DataError(f"{path}: this is a device, not a file; give a CSV file")
            file = open(path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            if os.path.islink(path):
                raise DataError(
                    f"{path}: this is a link to {os.readlink(path)}, which does not exist"
                ) from None
            raise DataError(f"{path}: there is no such file") from None
        except PermissionError:
            raise DataError(f"{path}: there is no permission to read this file") from None
        except (OSError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            why = getattr(error, "strerror", None) or str(error)
            raise DataError(f"{path}: cannot be opened: {why}") from None
        if stat.S_ISREG(mode):
            return file
        with file:
            return self._copy(file)

    def _copy(self, stream: Any) -> IO[bytes]:
        """Copy what can be read only once.

        Input without an end, such as that of a device, is mostly no text, which the first bytes
        tell.
        """
        copy: Any = tempfile.SpooledTemporaryFile(max_size=_MOST_IN_MEMORY)  # noqa: SIM115
        size = 0
        try:
            while part := stream.read(1 << 20):
                if isinstance(part, str):
                    self.is_text = True
                    part = part.encode()
                if not size and part.count(0) == len(part):
                    raise DataError(f"{self.name}: cannot be read as a table: only zero bytes")
                size += len(part)
                copy.write(part)
        except BaseException as error:
            copy.close()
            if isinstance(error, UnicodeError | OSError):
                raise DataError(f"{self.name}: cannot be read: {error}") from None
            raise
        return copy

    def _open(self) -> Any:
        """Open the bytes of the table from the start."""
        self._raw.seek(0)
        stream: Any = self._raw
        if self.is_text:
            return stream
        for _ in range(3):  # an archive of an archive, such as .tar.gz
            head = stream.read(512)
            stream.seek(0)
            opener = next((o for magic, o in _OPENERS.items() if re.match(magic, head)), None)
            if opener is not None:
                stream = opener(stream)
            elif head.startswith(_ZIP):
                stream = self._zip_member(stream)
            elif head.startswith(_ZSTANDARD):
                stream = self._zstandard(stream)
            elif head[257:262] == b"ustar" or self.name.lower().endswith(".tar"):
                return self._tar_member(stream)
            else:
                break
        for magic, kind in _FOREIGN_ARCHIVES.items():
            if head.startswith(magic):
                raise DataError(f"{self.name}: this is a {kind} archive; unpack it first")
        return stream

    def _only(self, names: list[str], kind: str) -> str:
        """Return the name of the only file in an archive."""
        # What macOS adds is no file of the user's.
        names = [name for name in names if not name.startswith("__MACOSX/")]
        if len(names) == 1:
            return names[0]
        listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise DataError(
            f"{self.name}: this {kind} archive holds "
            + (f"{len(names)} files ({listed}); unpack it and name one" if names else "no file")
        )

    def _zip_member(self, stream: Any) -> IO[bytes]:
        archive = zipfile.ZipFile(stream)
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        for name in names if len(names) > 1 else ():
            for start, what in _ZIPPED_FORMATS.items():
                if name.startswith(start):
                    raise DataError(f"{self.name}: this is {what}")
        if "schema.json" in names and any(name.endswith(".npy") for name in names):
            raise DataError(f"{self.name}: this is a model file, which holds no table")
        if names and all(name.endswith(".npy") for name in names):
            raise DataError(f"{self.name}: this is an archive of NumPy arrays; save them as CSV")
        try:
            return archive.open(self._only(names, "zip"))
        except RuntimeError as error:  # encrypted, or compressed by a method that is unknown
            raise DataError(f"{self.name}: cannot be unpacked: {error}") from None

    def _tar_member(self, stream: Any) -> IO[bytes]:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115
        members = {member.name: member for member in archive if member.isfile()}
        opened = archive.extractfile(members[self._only(list(members), "tar")])
        assert opened is not None
        return opened

    def _zstandard(self, stream: Any) -> IO[bytes]:
        """Unpack into a temporary file, since not every module can go back in its stream."""
        module = _zstandard_module()
        if module is None:
            raise DataError(
                f"{self.name}: to read Zstandard the module zstandard is needed "
                "(pip install 'fastmlp[zst]'); or unpack the file first"
            )
        copy: Any = tempfile.SpooledTemporaryFile(max_size=_MOST_IN_MEMORY)  # noqa: SIM115
        try:
            for part in _unpacked(module, stream):
                copy.write(part)
        except BaseException as error:
            copy.close()
            if isinstance(error, module.ZstdError):
                raise OSError(str(error)) from None
            raise
        self._raw.close()
        self._raw = copy
        copy.seek(0)
        return copy


def open_zstandard(path: Any, name: str) -> Any:
    """Open a Zstandard file for writing.

    Parameters
    ----------
    path : str or Path
    name : str
        How messages call it.

    Raises
    ------
    DataError
        When there is no module for it.
    """
    module = _zstandard_module()
    if module is None:
        raise DataError(
            f"{name}: to write Zstandard the module zstandard is needed "
            "(pip install 'fastmlp[zst]')"
        )
    return module.open(path, "wb")


def _zstandard_module() -> Any:
    """Return the module of Python 3.14, or else the package; None without both."""
    with suppress(ImportError):
        return import_module("compression.zstd")
    with suppress(ImportError):
        return import_module("zstandard")
    return None


def _unpacked(module: Any, stream: Any) -> Iterator[bytes]:
    """Yield the parts of a Zstandard file, which may have several frames.

    The modules compression.zstd and zstandard have the same kind of decompressor, which does
    not mind when the file ends too early.
    """
    new = module.ZstdDecompressor
    if hasattr(new, "decompressobj"):  # of the package
        new = new().decompressobj
    frame, has_begun, part = new(), False, stream.read(1 << 20)
    while part:
        if frame.eof:
            frame, has_begun = new(), False
        yield frame.decompress(part)
        has_begun = True
        part = (frame.unused_data if frame.eof else b"") or stream.read(1 << 20)
    if has_begun and not frame.eof:
        raise EOFError("the compressed file ends too early")
