"""What is wrong with an installation is said in one line, by doctor and by what fails."""

import os
import subprocess
import sys

import pytest
from helpers import environment_with_own_folder

from fastmlp.engines.cpu.vector_unit import LEVELS, runs

LACKED = next(level for level in LEVELS if not runs(level))
FIT = """
import numpy as np
from fastmlp import MLPRegressor
MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(np.eye(4), np.arange(4.0))
"""


def python(*arguments, cwd=None, **environment):
    """The result of a process, which finds the modules of a folder that it is started in."""
    inherited = os.environ if cwd is None else environment_with_own_folder()
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env={**inherited, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def problems(cwd=None, **environment):
    result = python("-m", "fastmlp_cli", "doctor", cwd=cwd, **environment)
    lines = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert result.returncode == (1 if lines else 0), result.stderr
    assert lines or result.stdout.endswith("No problems.\n")
    return lines


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT"),
        ("NUMBA_BOUNDSCHECK", "1", "NUMBA_BOUNDSCHECK"),
        ("NUMBA_NUM_THREADS", "0", "NUMBA_"),
    ],
)
def test_settings_with_which_nothing_is_compiled(name, value, part, tmp_path):
    settings = {name: value, "FASTMLP_JIT": "1"}
    last = python("-c", FIT, **settings).stderr.strip().splitlines()[-1]
    assert last.startswith("fastmlp.exceptions.DeviceError") and part in last
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n3,4\n5,6\n7,8\n" * 5)
    result = python("-m", "fastmlp_cli", "fit", "t.csv", cwd=tmp_path, **settings)
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("fastmlp: ") and part in last and "internal error" not in last
    assert part in problems(**settings)[0]


@pytest.mark.parametrize("level", ["x86-64-v9", LACKED])
def test_levels_that_cannot_run(level, concrete_csv, tmp_path):
    """Nor does an import fail otherwise than in one line of the command."""
    settings = {"FASTMLP_LEVEL": level}
    last = python("-c", FIT, **settings).stderr.strip().splitlines()[-1]
    assert last.startswith("fastmlp.exceptions.DeviceError: ") and "unset it" in last
    (line,) = problems(**settings)
    assert line == last.replace("fastmlp.exceptions.DeviceError", "problem")
    result = python("-m", "fastmlp_cli", "fit", str(concrete_csv), cwd=tmp_path, **settings)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "FASTMLP_LEVEL" in result.stderr.splitlines()[-1]


def test_a_compiler_that_is_switched_on_again():
    code = """
import numba
import numpy as np
from fastmlp.engines.cpu import library
for numba.config.DISABLE_JIT in 1, 0:
    try:
        assert library.address("activate.relu", np.dtype(float))
        print(library.origins()["compiled in this process"])
    except ValueError as error:
        print(type(error).__name__)
"""
    result = python("-c", code, FASTMLP_JIT="1")
    assert (result.returncode, result.stdout) == (0, "DeviceError\n1\n"), result.stderr


def test_settings_that_make_code_slow():
    (line,) = problems(NUMBA_OPT="0", NUMBA_DEBUGINFO="1", FASTMLP_JIT="1")
    assert line == "problem: compiled code is slow, by NUMBA_OPT and NUMBA_DEBUGINFO; unset that"


@pytest.mark.parametrize("module", ["csv", "numba"])
def test_a_file_that_is_named_like_a_module(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("")
    assert any(f"{module}.py is imported instead" in line for line in problems(tmp_path))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    result = python("-m", "fastmlp_cli", "fit", "t.csv", cwd=tmp_path)
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr


@pytest.mark.parametrize("module", ["click", "fastmlp"])
def test_a_file_with_which_the_command_cannot_start(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("")
    result = python("-m", "fastmlp_cli", "--help", cwd=tmp_path)
    (line,) = result.stderr.splitlines()
    assert line.startswith("fastmlp: cannot start") and "is a file in this folder named" in line


def test_packages_that_cannot_be_imported(tmp_path):
    """A folder that is found before the real one, as a broken installation."""
    (tmp_path / "skops").mkdir()
    (tmp_path / "skops" / "__init__.py").write_text("raise ImportError('a part is missing')")
    (line,) = problems(PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert "skops cannot be imported (ImportError: a part is missing)" in line
