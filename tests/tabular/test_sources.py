"""Where the bytes of a table come from: pipes, archives, file-like objects, and what is refused."""

import bz2
import gzip
import importlib.util
import io
import lzma
import os
import socket
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular import sources
from fastmlp.tabular.csv import read_table

N_ROWS = 30_000
TEXT = "left,right\n" + "".join(f"{i * 7919 % 10007},{i % 7 + 0.5}\n" for i in range(N_ROWS))
BYTES = TEXT.encode()


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(members, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


COMPRESSED = {
    "gzip": gzip.compress(BYTES),
    "gzip of two parts": gzip.compress(BYTES[:1000]) + gzip.compress(BYTES[1000:]),
    "bzip2": bz2.compress(BYTES),
    "xz": lzma.compress(BYTES),
    "zip": zipped({"__MACOSX/._t.csv": b"x", "folder/t.csv": BYTES}),
    "tar": tarred({"t.csv": BYTES}),
    "tar.gz": tarred({"t.csv": BYTES}, "w:gz"),
    "plain": BYTES,
}


def is_whole(frame):
    return frame.shape == (N_ROWS, 2) and frame["left"].iloc[-1] == (N_ROWS - 1) * 7919 % 10007


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("name", ["table", "TABLE.CSV.GZ", "t.csv"])
def test_compression_is_seen_in_the_bytes(tmp_path, kind, name):
    (tmp_path / name).write_bytes(COMPRESSED[kind])
    assert is_whole(read_table(tmp_path / name))


@pytest.mark.parametrize("kind", COMPRESSED)
def test_pipes_are_read_once(kind):
    reading, writing = os.pipe()

    def feed():
        with open(writing, "wb") as out:
            out.write(COMPRESSED[kind])

    thread = threading.Thread(target=feed)
    thread.start()
    with open(reading, "rb") as file:
        assert is_whole(read_table(file))
    thread.join()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipes_are_read_once(tmp_path):
    # A missing value in the last column and a short row need a second look at the rows.
    for text, n_rows in ((TEXT, N_ROWS), ("a,b\n1,2\n3,\n", 2), ("a,b\n1,2\n3\n", None)):
        pipe = tmp_path / f"pipe{n_rows}"
        os.mkfifo(pipe)
        thread = threading.Thread(target=pipe.write_text, args=(text,), daemon=True)
        thread.start()
        if n_rows is None:
            with pytest.raises(DataError, match="line 3: 1 field"):
                read_table(pipe)
        else:
            assert len(read_table(pipe)) == n_rows
        thread.join()


def test_file_like_objects(tmp_path):
    assert is_whole(read_table(io.BytesIO(BYTES))) and is_whole(read_table(io.StringIO(TEXT)))
    (tmp_path / "t.csv").write_text("name,b\nZoë,1\n", encoding="latin-1")
    with open(tmp_path / "t.csv", encoding="latin-1") as file:
        assert read_table(file)["name"].tolist() == ["Zoë"]
    with (
        open(tmp_path / "t.csv", "rb") as file,
        pytest.warns(DataWarning, match=r"t\.csv: it is no"),
    ):
        assert read_table(file)["name"].tolist() == ["Zoë"]
    # What was read before is no part of the table.
    file = io.StringIO("first,line\na,b\n1,2\n")
    file.readline()
    assert list(read_table(file)) == ["a", "b"]
    with pytest.raises(DataError, match="the file: the file is empty"):
        read_table(io.BytesIO())


def test_archives_of_several_files(tmp_path):
    members = {"one.csv": b"a,b\n1,2\n", "two.csv": b"a,b\n1,2\n"}
    for content in (zipped(members), tarred(members), tarred(members, "w:xz")):
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(DataError, match=r"holds 2 files \(one.csv, two.csv\); unpack it"):
            read_table(tmp_path / "t")
    for content in (zipped({}), tarred({})):
        (tmp_path / "t.tar").write_bytes(content)
        with pytest.raises(DataError, match="archive holds no file"):
            read_table(tmp_path / "t.tar")


@pytest.mark.parametrize("kind", [kind for kind in COMPRESSED if kind not in ("plain", "tar")])
def test_truncated_archives_are_refused(tmp_path, kind):
    content = COMPRESSED[kind]
    # The last bytes of a tar.gz are padding.
    for n in (len(content) // 2, len(content) - (4000 if kind == "tar.gz" else 30)):
        (tmp_path / "t").write_bytes(content[:n])
        with pytest.raises(DataError, match="cannot be read"):
            read_table(tmp_path / "t")


def test_truncated_and_other_tar_files(tmp_path):
    for content in (COMPRESSED["tar"][:5000], b"no archive"):
        (tmp_path / "bad.tar").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.tar: cannot be read"):
            read_table(tmp_path / "bad.tar")


def test_a_name_that_says_compressed_and_bytes_that_do_not(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(BYTES)
    assert is_whole(read_table(tmp_path / "t.csv.gz"))
    (tmp_path / "t.csv.gz").write_text("no archive")
    with pytest.raises(DataError, match="it is not compressed as its name says"):
        read_table(tmp_path / "t.csv.gz")


def test_encrypted_zip_files(tmp_path):
    content = bytearray(zipped({"t.csv": b"a,b\n1,2\n"}))
    content[6] |= 1  # the flag of encryption, in both places where it stands
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "t.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be unpacked: .*encrypted"):
        read_table(tmp_path / "t.zip")


class FakeZstandard:
    """Stands for the package: its frames are a magic number, a length and the bytes."""

    ZstdError = type("ZstdError", (Exception,), {})

    class ZstdDecompressor:
        def __init__(self):
            self.eof, self.unused_data, self._got = False, b"", b""

        def decompress(self, part):
            self._got += part
            size = self._got[4]
            if size == 255:
                raise FakeZstandard.ZstdError("corrupt")
            whole, self.unused_data = self._got[5 : 5 + size], self._got[5 + size :]
            self.eof = len(whole) == size
            return whole if self.eof else b""


def test_zstandard(tmp_path, monkeypatch):
    magic, text = b"\x28\xb5\x2f\xfd", b"a,b\n1,2\n"
    path = tmp_path / "table"
    frame = magic + bytes([len(text)]) + text
    monkeypatch.setattr(sources, "_zstandard_module", lambda: FakeZstandard)
    path.write_bytes(frame + magic + b"\x04" + b"3,4\n")
    assert read_table(path)["b"].tolist() == [2, 4]
    for content, message in {frame[:-2]: "ends too early", magic + b"\xff": "corrupt"}.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"cannot be read: .*{message}"):
            read_table(path)
    monkeypatch.setattr(sources, "_zstandard_module", lambda: None)
    with pytest.raises(
        DataError, match=r"the module zstandard is needed .pip install .fastmlp.zst"
    ):
        read_table(path)


@pytest.mark.skipif(
    importlib.util.find_spec("zstandard") is None and sys.version_info < (3, 14),
    reason="needs a module for Zstandard",
)
def test_zstandard_with_a_module(tmp_path):
    pd.read_csv(io.StringIO(TEXT)).to_csv(tmp_path / "t.csv.zst", index=False)
    assert is_whole(read_table(tmp_path / "t.csv.zst"))


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a//b.csv?x=1", "http://example.org/t.csv", "s3://bucket/t.csv",
        "file:///tmp/t.csv", "gs://bucket/t.csv.gz", "FTP://example.org/t.csv",
    ],
)  # fmt: skip
def test_addresses(address):
    with pytest.raises(DataError) as error:
        read_table(address)
    assert str(error.value).startswith(f"{address}: ") and "download the file" in str(error.value)
    with pytest.raises(DataError, match="download the file"):
        read_table(Path(address))


@pytest.mark.skipif(os.name == "nt", reason="needs links, sockets and devices")
def test_what_is_no_file(tmp_path):
    (tmp_path / "link").symlink_to("nowhere.csv")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for name, message in {
        "link": r"link: this is a link to nowhere\.csv, which does not exist",
        "loop": "loop: cannot be opened: .*symbolic links",
        "socket": "socket: cannot be opened",
        "x" * 300: "xx: cannot be opened: File name too long",
        "a\0b": "cannot be opened: embedded null",
        "none.csv": r"none\.csv: there is no such file",
        ".": "this is a folder",
    }.items():
        with pytest.raises(DataError, match=message):
            read_table(f"{tmp_path}/{name}")
    for device in ("/dev/zero", "/dev/urandom", "/dev/full"):
        with pytest.raises(DataError, match=f"{device}: this is a device, not a file"):
            read_table(device)
    with pytest.raises(DataError, match="/dev/null: the file is empty"):
        read_table("/dev/null")


def test_files_without_permission(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources.os, "stat", refuse)
    with pytest.raises(DataError, match=r"t\.csv: there is no permission to read"):
        read_table("t.csv")


def test_endless_zeros_do_not_fill_the_memory():
    class Endless:
        def read(self, size):
            return bytes(size)

    with pytest.raises(DataError, match="only zero bytes"):
        read_table(Endless())
