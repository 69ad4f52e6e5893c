"""Compiled code is read only where nobody else can have written it, and only where it is whole."""

import hashlib
import os
import pickle
import stat
from pathlib import Path

import numba
import numpy as np
import pytest

from fastmlp.engines import private_files
from fastmlp.engines.cpu import jobs, library, objects
from fastmlp.engines.kernel_cache import distrusted_files

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such owners")

OTHER = 12345  # the number of a user who is neither root nor the one who runs the tests
as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def folder(tmp_path):
    private_files.make_folder(str(tmp_path / "cache" / "cpu"))
    private_files.write(str(tmp_path / "cache" / "cpu"), "kernel", b"code")
    return tmp_path / "cache" / "cpu"


def test_what_was_written_is_read(folder):
    assert private_files.read(str(folder), "kernel") == b"code"
    private_files.write(str(folder), "kernel", b"other")
    assert private_files.read(str(folder), "kernel") == b"other"
    assert [path.name for path in folder.iterdir()] == ["kernel"]


def test_new_folders_are_for_this_user_alone(folder):
    for each in (folder, folder.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_is_not_used(mode, folder):
    folder.chmod(mode)
    with pytest.raises(PermissionError, match="can be written by other users") as caught:
        private_files.read(str(folder), "kernel")
    assert private_files.is_distrust(caught.value)
    with pytest.raises(PermissionError, match="can be written by other users"):
        private_files.write(str(folder), "kernel", b"other")
    with pytest.raises(PermissionError, match="can be written by other users"):
        private_files.make_folder(str(folder))


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_read(mode, folder):
    (folder / "kernel").chmod(mode)
    with pytest.raises(PermissionError, match="can be written by other users"):
        private_files.read(str(folder), "kernel")


@as_root
def test_folders_and_files_of_others_are_not_used(folder):
    os.chown(folder / "kernel", OTHER, -1)
    with pytest.raises(PermissionError, match=f"belongs to another user .uid {OTHER}"):
        private_files.read(str(folder), "kernel")
    os.chown(folder, OTHER, -1)
    with pytest.raises(PermissionError, match=f"{folder.name} belongs to another user"):
        private_files.write(str(folder), "other", b"")


@pytest.mark.parametrize("what", ["link to the folder", "link to the file", "pipe", "folder"])
def test_what_is_no_plain_file_in_a_plain_folder_is_not_read(what, folder, tmp_path):
    place, name = folder, "kernel"
    if what == "link to the folder":
        place = tmp_path / "link"
        place.symlink_to(folder)
    elif what == "link to the file":
        name = "link"
        (folder / name).symlink_to(folder / "kernel")
    else:
        name = "new"
        # Nobody ever writes into the pipe: whoever waited for it would wait for ever.
        os.mkfifo(folder / name, 0o600) if what == "pipe" else (folder / name).mkdir(0o700)
    with pytest.raises(OSError):
        private_files.read(str(place), name)


def test_what_a_killed_process_left_is_known_by_its_age(folder):
    path = folder / "kernel.tmp.0123"
    path.write_bytes(b"co")
    assert not private_files.was_left_behind(path)
    os.utime(path, (0, 0))
    assert private_files.was_left_behind(path)
    assert not private_files.was_left_behind(folder / "kernel")


DOUBLE = np.dtype(np.float64)
ABSOLUTE, POISSON = "row_losses.absolute_error", "row_losses.poisson"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder for compiled code, in a package that has none."""
    monkeypatch.setattr(objects, "_IN_PACKAGE", tmp_path / "none")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("FASTMLP_CACHE", "FASTMLP_JIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(objects, "refused", {})
    for name in ("_addresses", "_places", "_functions", "_looked_for"):
        monkeypatch.setattr(library, name, {})
    objects.cache_folder.cache_clear()
    yield tmp_path / "cache" / "fastmlp"
    objects.cache_folder.cache_clear()


def place_of(name=ABSOLUTE):
    """Call a kernel that nothing has found in this process, and return where it was found."""
    for known in (library._addresses, library._places, library._functions):
        known.clear()
    y, p, result = np.array([[1.0, 2.0]]), np.array([[2.0, 4.0]]), np.zeros(1)
    arrays = y, p, np.zeros(2), result
    job = jobs.describe(arrays)
    library.function(name, DOUBLE)(job.ctypes.data)
    if name == ABSOLUTE:
        assert result[0] == 3.0
    (place,) = library._places.values()
    return place


COMPILED, FOUND = "compiled in this process", "the cache"


def kernel_in(cache, name=ABSOLUTE):
    (path,) = cache.glob(f"fastmlp-{name}-*")
    return path


def flipped(content, place):
    damaged = bytearray(content)
    damaged[place] ^= 16
    return bytes(damaged)


def test_whatever_is_damaged_is_compiled_and_written_anew(cache):
    assert place_of() == COMPILED
    path = kernel_in(cache)
    whole = path.read_bytes()
    size = len(whole)
    damaged = [b"", whole[:10], whole[:64], whole[65:], whole[:-1], whole + b"\0", bytes(size)]
    damaged += [flipped(whole, place) for place in (0, 63, 64, 65, size // 3, size // 2, size - 1)]
    for number, content in enumerate(damaged):
        path.write_bytes(content)
        assert place_of() == COMPILED, number
        assert place_of() == FOUND, number


class Planted:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("has_digest", [False, True])
def test_planted_code_is_not_run(has_digest, cache, tmp_path):
    place_of()
    content = pickle.dumps(Planted(tmp_path / "was here"))
    digest = hashlib.sha256(content).hexdigest().encode()
    kernel_in(cache).write_bytes(digest + b"\n" + content if has_digest else content)
    assert place_of() == COMPILED
    assert not (tmp_path / "was here").exists()


def test_a_folder_in_the_place_of_a_kernel(cache):
    place_of()
    path = kernel_in(cache)
    path.unlink()
    path.mkdir()
    assert place_of() == COMPILED
    path.rmdir()
    assert place_of() == COMPILED
    assert place_of() == FOUND


def test_a_kernel_of_another_name_is_not_taken(cache):
    for name in (ABSOLUTE, POISSON):
        assert place_of(name) == COMPILED
    kernel_in(cache, ABSOLUTE).write_bytes(kernel_in(cache, POISSON).read_bytes())
    assert place_of(ABSOLUTE) == COMPILED
    assert place_of(ABSOLUTE) == FOUND


@pytest.mark.parametrize(
    "change",
    [{"vector_bytes": 8}, {"target": "another processor"}, {"platform": "riscv64-unknown"},
     {"fingerprint": "0" * 64}, {"exports": {}}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_code_for_something_else_is_not_taken(change, cache):
    place_of()
    path = kernel_in(cache)
    about, code = objects.unpacked(path.read_bytes())
    path.write_bytes(objects.packed(about | change, code))
    assert place_of() == COMPILED
    assert place_of() == FOUND


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9])
def test_code_that_cannot_be_linked_is_compiled_anew(part, cache):
    """A truncated object file whose digest is right."""
    place_of()
    path = kernel_in(cache)
    about, code = objects.unpacked(path.read_bytes())
    path.write_bytes(objects.packed(about, code[: int(part * len(code))]))
    assert place_of() == COMPILED
    assert place_of() == FOUND


@pytest.mark.parametrize(("name", "value"), [("OPT", 2), ("SLP_VECTORIZE", 1)])
def test_code_of_other_settings_of_numba_is_not_kept(name, value, cache, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, name, type(getattr(numba.config, name))(value))
        assert place_of() == COMPILED
        assert not list(cache.glob("*"))
    assert place_of() == COMPILED
    assert place_of() == FOUND


def test_a_full_disk_does_no_harm(cache, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_files, "write", fail)
    assert place_of() == COMPILED
    assert not list(cache.glob("*"))


@pytest.mark.parametrize("how", ["mode", pytest.param("owner", marks=as_root)])
def test_a_folder_of_others_is_passed_over(how, cache):
    place_of()
    path = kernel_in(cache)
    before = path.stat()
    os.chown(cache, OTHER, -1) if how == "owner" else cache.chmod(0o777)
    assert place_of() == COMPILED
    objects.cache_folder.cache_clear()
    reason = "belongs to another user" if how == "owner" else "can be written by other users"
    assert objects.cache_folder() != str(cache)
    assert reason in str(objects.refused[str(cache)])
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_file_of_others_is_written_anew(cache):
    place_of()
    path = kernel_in(cache)
    path.chmod(0o666)
    (reason,) = distrusted_files(path.parent)
    assert reason == f"{path} can be written by other users"
    assert place_of() == COMPILED
    assert place_of() == FOUND
    assert not distrusted_files(path.parent)


def test_no_folder_is_made_where_the_home_is_unknown(cache, tmp_path, monkeypatch):
    """With neither HOME nor an entry for the user, paths of the home begin with a tilde."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "~/cache")
    monkeypatch.chdir(tmp_path)
    assert objects.cache_folder() != str(cache)
    assert "home folder of this user is not known" in str(objects.refused["~/cache/fastmlp"])
    assert not list(tmp_path.iterdir())
