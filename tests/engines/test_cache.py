"""The on-disk cache of compiled kernels is used, and never serves stale code."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from one_kernel import CALL

import fastmlp

HIDDEN = "NUMBA_CACHE_DIR", "FASTMLP_CACHE", "FASTMLP_JIT"


def copied(folder):
    """A copy of the package without compiled code, in a folder."""
    source = Path(fastmlp.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__", "objects")
    return Path(shutil.copytree(source, folder / "site" / "fastmlp", ignore=ignore))


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may edit."""
    return copied(tmp_path)


def start(package, cache=None, **environment):
    """CALL in a process of its own."""
    env = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    env |= {"PYTHONPATH": str(package.parent), **environment}
    if cache is not None:
        env["NUMBA_CACHE_DIR"] = str(cache)
    command = [sys.executable, "-c", CALL]
    return subprocess.Popen(command, env=env, cwd=package.parent, stdout=subprocess.PIPE, text=True)


def finish(process):
    """Values, cache hits and cache misses of a process."""
    stdout, _ = process.communicate()
    assert process.returncode == 0
    *values, hits, misses = stdout.split(",")
    return [float(v) for v in values], int(hits), int(misses)


def run(*args, **kwargs):
    return finish(start(*args, **kwargs))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A cache that a process has left, which no test may change."""
    folder = tmp_path_factory.mktemp("compiled")
    assert run(copied(folder), folder / "cache") == ([0.0, 3.0], 0, 1)
    return folder / "cache"


@pytest.fixture
def cache(tmp_path, compiled):
    """A cache that an earlier process has left."""
    return Path(shutil.copytree(compiled, tmp_path / "cache"))


def test_second_process_compiles_nothing(package, tmp_path):
    assert run(package, tmp_path / "cache") == ([0.0, 3.0], 0, 1)
    assert run(package, tmp_path / "cache") == ([0.0, 3.0], 1, 0)


def test_processes_that_compile_at_once_do_no_harm(package, tmp_path):
    processes = [start(package, tmp_path / "cache") for _ in range(3)]
    for process in processes:
        assert finish(process)[0] == [0.0, 3.0]
    assert run(package, tmp_path / "cache") == ([0.0, 3.0], 1, 0)


def test_edited_formula_is_compiled_anew(package, cache):
    formulas = package / "network" / "formulas" / "activations.py"
    text = formulas.read_text()
    assert "return 0 if z < 0 else z" in text
    formulas.write_text(text.replace("return 0 if z < 0 else z", "return 7.0"))
    assert run(package, cache) == ([7.0, 7.0], 0, 1)
    # The stale file is gone, and the new one is used.
    assert len(list(cache.rglob("*.fmo"))) == 1
    assert run(package, cache) == ([7.0, 7.0], 1, 0)


@pytest.mark.parametrize(
    "source",
    [
        "network/plan.py",
        "engines/_numba.py",
        "engines/cpu/vector_math.py",
        "network/formulas/losses.py",
    ],
)
def test_any_edit_compiles_anew(source, package, cache):
    with open(package / source, "a") as file:
        file.write("\n# edited\n")
    assert run(package, cache) == ([0.0, 3.0], 0, 1)


def test_choices_do_not_mix(package, cache):
    for counts in ((0, 1), (1, 0)):
        values, *found = run(package, cache, KERNEL="activate.tanh")
        assert values == pytest.approx([math.tanh(-1), math.tanh(3)]) and tuple(found) == counts
    assert run(package, cache) == ([0.0, 3.0], 1, 0)


def test_types_compiled_at_once_do_not_mix(package, tmp_path):
    processes = [start(package, tmp_path / "cache", DTYPE=d) for d in ("float32", "float64") * 2]
    for process in processes:
        assert finish(process)[0] == [0.0, 3.0]
    for dtype in ("float32", "float64"):
        assert run(package, tmp_path / "cache", DTYPE=dtype) == ([0.0, 3.0], 1, 0)
    assert len(list((tmp_path / "cache").rglob("*.fmo"))) == 2


def test_damaged_file_is_compiled_anew(package, cache):
    (path,) = cache.rglob("*.fmo")
    path.write_bytes(path.read_bytes()[:100])
    assert run(package, cache) == ([0.0, 3.0], 0, 1)
    assert run(package, cache) == ([0.0, 3.0], 1, 0)


def test_new_version_is_compiled_anew(package, cache):
    init = package / "__init__.py"
    init.write_text(init.read_text().replace(fastmlp.__version__, "99.0.0"))
    assert run(package, cache) == ([0.0, 3.0], 0, 1)


def test_cache_can_be_switched_off(package, tmp_path):
    assert run(package, tmp_path / "cache", FASTMLP_CACHE="0") == ([0.0, 3.0], 0, 1)
    assert not (tmp_path / "cache").exists()


def test_just_in_time_neither_reads_nor_writes(package, tmp_path):
    assert run(package, tmp_path / "cache", FASTMLP_JIT="1") == ([0.0, 3.0], 0, 1)
    assert not (tmp_path / "cache").exists()
    run(package, tmp_path / "cache")
    assert run(package, tmp_path / "cache", FASTMLP_JIT="1") == ([0.0, 3.0], 0, 1)


def test_installed_in_place_by_default(package):
    assert run(package)[1:] == (0, 1)
    assert run(package)[1:] == (1, 0)
    assert list((package / "engines" / "cpu" / "__pycache__").glob("*.fmo"))


def test_read_only_installation_uses_the_user_cache(package, tmp_path):
    # A file where the folder would be: this stops even a superuser from writing there.
    (package / "engines" / "cpu" / "__pycache__").write_text("")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}
    assert run(package, **home)[1:] == (0, 1)
    assert run(package, **home)[1:] == (1, 0)
    assert list((tmp_path / "home").rglob("*.fmo"))


def test_no_writable_folder_compiles_in_memory(package, tmp_path):
    (package / "engines" / "cpu" / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}
    assert run(package, **home) == ([0.0, 3.0], 0, 1)
    assert run(package, **home) == ([0.0, 3.0], 0, 1)
