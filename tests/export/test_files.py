"""Files that appear whole or not at all, whatever happens to their writers."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from fastmlp.exceptions import InputError
from fastmlp.export import files
from fastmlp.export.files import check_output, written_aside

posix = pytest.mark.skipif(os.name == "nt", reason="locks and modes of POSIX")

WRITER = """
import os, signal, sys, time
from fastmlp.export.files import written_aside
with written_aside(sys.argv[1]) as aside:
    aside.write_text("half")
    print("writing", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.readline()
"""


def start(path, what):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, path, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def parts(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


@posix
def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_left_alone(tmp_path):
    old = tmp_path / "model"
    old.write_text("old")
    living = start(tmp_path / "other", "wait")
    assert living.stdout.readline() == "writing\n"
    dead = start(old, "die")
    dead.communicate()
    assert dead.returncode == -signal.SIGKILL
    assert len(parts(tmp_path)) == 2 and old.read_text() == "old"
    with written_aside(tmp_path / "third") as aside:
        aside.write_text("whole")
        assert len(parts(tmp_path)) == 2  # the living one's and this one
    living.communicate("\n")
    assert living.returncode == 0
    names = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert names == {"model": "old", "other": "half", "third": "whole"}


@posix
def test_a_lock_of_this_process_counts_as_well(tmp_path):
    with written_aside(tmp_path / "first") as first:
        first.write_text("1")
        with written_aside(tmp_path / "second") as second:
            second.write_text("2")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["1", "2"]


@posix
@pytest.mark.parametrize(
    ("name", "age", "stays"),
    [
        (".fastmlp-00000000-0123456789abcdef.part", 0, True),  # of another machine
        (".fastmlp-00000000-0123456789abcdef.part", 2 * 24 * 3600, False),
        (".fastmlp-abcd_123.part", 0, True),  # of a version that had no locks
        (".fastmlp-abcd_123.part", 2 * 24 * 3600, False),
        (".fastmlp-notes.txt", 2 * 24 * 3600, True),
    ],
)
def test_where_locks_do_not_tell_only_old_files_are_removed(tmp_path, name, age, stays):
    left = tmp_path / name
    left.write_text("half")
    os.utime(left, (time.time() - age,) * 2)
    with written_aside(tmp_path / "new") as aside:
        aside.write_text("whole")
    assert left.exists() == stays


@posix
def test_leftovers_that_are_no_files_are_not_touched(tmp_path):
    pipe = tmp_path / f".fastmlp-{files._this_machine()}-1.part"
    os.mkfifo(pipe)
    link = tmp_path / f".fastmlp-{files._this_machine()}-2.part"
    link.symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("mine")
    with written_aside(tmp_path / "new") as aside:
        aside.write_text("whole")
    assert pipe.exists() and link.is_symlink() and (tmp_path / "precious").exists()


@posix
def test_the_mask_of_the_process_is_obeyed_and_never_changed(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("other threads see it"))
            with written_aside(tmp_path / "new") as aside:
                aside.write_text("x")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        os.umask(0o777)  # even then the writer can write
        with written_aside(tmp_path / "closed") as aside:
            aside.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0


@posix
def test_a_private_file_is_private_while_it_is_replaced(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    with written_aside(path) as aside:
        assert stat.S_IMODE(aside.stat().st_mode) & 0o077 == 0
        aside.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == "new"


@posix
def test_the_file_and_its_name_are_on_the_disk_at_the_end(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd)), real(fd)))
    with written_aside(tmp_path / "new") as aside:
        aside.write_text("x")
    assert [stat.S_ISDIR(status.st_mode) for status in synced] == [False, True]
    assert synced[0].st_ino == (tmp_path / "new").stat().st_ino


def test_errors_name_the_file_and_leave_the_old_one(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    for raised in (OSError(errno.ENOSPC, "No space left on device"), None):
        with pytest.raises(OSError, match=r"No space.*model'") as caught, written_aside(path) as at:
            at.write_text("half")
            raise raised or OSError(errno.ENOSPC, "No space left on device", str(at))
        assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError, match="other"), written_aside(path):
        (tmp_path / "other").read_text()  # an error about another file keeps its name
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


@posix
def test_a_limit_of_the_size_is_met_in_the_middle_of_a_file(tmp_path):
    code = (
        "import resource, sys\n"
        "from fastmlp.export.files import written_aside\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with written_aside(sys.argv[1]) as aside:\n"
        "    aside.write_bytes(bytes(5000))\n"
    )
    path = tmp_path / "model"
    path.write_text("old")
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert f"File too large: '{path}'" in run.stderr.splitlines()[-1]
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


@posix
def test_names_that_cannot_be_written_are_refused_at_once(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name, message in {"a": "leads to itself", "x\0y": "zero byte"}.items():
        with pytest.raises(InputError, match=message):
            check_output(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        check_output(tmp_path / ("x" * 300))


@posix
def test_many_writers_of_one_file_leave_one_whole_file(tmp_path):
    def write(text):
        for _ in range(20):
            with written_aside(tmp_path / "model") as aside:
                aside.write_text(text * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [left] = tmp_path.iterdir()
    assert left.read_text() in {letter * 1000 for letter in "abcd"}
