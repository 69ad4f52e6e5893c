"""Compiled code is read only where nobody else can have written it, and only where it is whole."""

import os
import pickle
import stat
from pathlib import Path

import numba
import pytest

from fastmlp.engines import private_files
from fastmlp.engines.cpu.jit import KernelCache, compile_kernel
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


def double(x):
    return 2 * x


def triple(x):
    return 3 * x


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder for compiled code."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTMLP_CACHE", raising=False)
    monkeypatch.setattr(KernelCache, "refused", {})
    return tmp_path / "cache"


def hits_and_misses(function=double):
    """Call a function that nothing has compiled in this process, and look where it was found."""
    compiled = compile_kernel(function, entry=True)
    assert compiled(4.0) == function(4.0)
    found = compiled.stats
    return sum(found.cache_hits.values()), sum(found.cache_misses.values())


COMPILED, FOUND = (0, 1), (1, 0)


def kernel_in(cache, function=double):
    (path,) = cache.rglob(f"*{function.__name__}*.nbc")
    return path


class Planted:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def flipped(content, place):
    damaged = bytearray(content)
    damaged[place] ^= 16
    return bytes(damaged)


def test_whatever_is_damaged_is_compiled_and_written_anew(cache):
    assert hits_and_misses() == COMPILED
    path = kernel_in(cache)
    whole = path.read_bytes()
    size = len(whole)
    damaged = [b"", whole[:10], whole[:32], whole[32:], whole[:-1], whole + b"\0", bytes(size)]
    damaged += [flipped(whole, place) for place in (0, 31, 32, 33, size // 3, size // 2, size - 1)]
    for number, content in enumerate(damaged):
        path.write_bytes(content)
        assert hits_and_misses() == COMPILED, number
        assert hits_and_misses() == FOUND, number


def test_a_folder_in_the_place_of_a_kernel(cache):
    hits_and_misses()
    path = kernel_in(cache)
    path.unlink()
    path.mkdir()
    assert hits_and_misses() == COMPILED
    path.rmdir()
    assert hits_and_misses() == COMPILED
    assert hits_and_misses() == FOUND


def test_planted_code_is_not_run(cache, tmp_path):
    hits_and_misses()
    kernel_in(cache).write_bytes(pickle.dumps(Planted(tmp_path / "was here")))
    assert hits_and_misses() == COMPILED
    assert not (tmp_path / "was here").exists()


def test_a_kernel_of_another_name_is_not_taken(cache):
    for function in (double, triple):
        assert hits_and_misses(function) == COMPILED
    kernel_in(cache, double).write_bytes(kernel_in(cache, triple).read_bytes())
    assert hits_and_misses(double) == COMPILED


def test_an_error_while_a_kernel_is_rebuilt_compiles_it_anew(cache, monkeypatch):
    hits_and_misses()

    def fail(self, data):
        raise RuntimeError("LLVM bitcode parsing error")

    with monkeypatch.context() as patch:
        patch.setattr("numba.core.codegen.JITCPUCodegen.unserialize_library", fail)
        assert hits_and_misses() == COMPILED
    assert hits_and_misses() == FOUND


@pytest.mark.parametrize("name", ["OPT", "SLP_VECTORIZE"])
def test_settings_of_numba_are_part_of_the_key(name, cache, monkeypatch):
    assert hits_and_misses() == COMPILED
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, name, type(getattr(numba.config, name))(2))
        assert hits_and_misses() == COMPILED
    assert hits_and_misses() == FOUND


def test_a_full_disk_does_no_harm(cache, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(private_files, "write", fail)
    assert hits_and_misses() == COMPILED
    assert not list(cache.rglob("*.nbc"))


@pytest.mark.parametrize("how", ["mode", pytest.param("owner", marks=as_root)])
def test_a_folder_of_others_is_passed_over(how, cache):
    hits_and_misses()
    path = kernel_in(cache)
    before = path.stat()
    os.chown(path.parent, OTHER, -1) if how == "owner" else path.parent.chmod(0o777)
    hits_and_misses()
    reason = "belongs to another user" if how == "owner" else "can be written by other users"
    assert reason in str(KernelCache.refused[str(path.parent)])
    after = path.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert str(path.parent) != KernelCache(double).cache_path


def test_a_file_of_others_is_written_anew(cache):
    hits_and_misses()
    path = kernel_in(cache)
    path.chmod(0o666)
    (reason,) = distrusted_files(path.parent)
    assert reason == f"{path} can be written by other users"
    assert hits_and_misses() == COMPILED
    assert hits_and_misses() == FOUND
    assert not distrusted_files(path.parent)


def test_no_folder_is_made_where_the_home_is_unknown(cache, tmp_path, monkeypatch):
    """With neither HOME nor an entry for the user, paths of the home begin with a tilde."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "~/cache")
    monkeypatch.chdir(tmp_path)
    hits_and_misses()
    assert not list(tmp_path.iterdir())
