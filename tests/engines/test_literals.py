"""Formulas are compiled from their sources, with constants that do not widen float32."""

import compileall
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from one_kernel import CALL

import fastmlp
from fastmlp.engines.cpu.jit import compile_formula

PACKAGE = Path(fastmlp.__file__).parent


def small(x):
    return x * 127 + 2


def beyond_a_byte(x):
    return x * 200 + 32767


def beyond_two_bytes(x):
    return x * 40000


def fraction(x):
    return x * 0.1 + small(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("formula", [small, beyond_a_byte, fraction])
def test_constants_do_not_widen(formula, dtype):
    compiled = compile_formula(formula)
    sample = numba.typeof(dtype(3))

    @numba.njit
    def run(x):
        return compiled(x)

    # A scalar that Python gets back has lost its type.
    assert run.compile((sample,)) is not None
    assert run.overloads[(sample,)].signature.return_type == sample
    assert run(dtype(3)) == dtype(formula(dtype(3)))


def test_an_integer_that_would_widen_float32_is_refused():
    with pytest.raises(ValueError, match="40000 in the formula beyond_two_bytes"):
        compile_formula(beyond_two_bytes)


FIT = """
import numpy as np
from fastmlp import MLPRegressor
model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
model.fit(np.eye(4), np.arange(4.0), callback=lambda epoch: epoch.epoch == 1)
print(*model.predict(np.eye(4)), sep=",")
"""


# Kernels of formulas of each kind, one of which is called.
KERNELS = f"""{CALL}
for name in ("losses_and_deltas.poisson", "row_losses.margin", "update.adam"):
    library.address(name, dtype)
print(library.origins()["compiled in this process"])
"""


def run(site, code=FIT, **environment):
    """The result of a process, with the package that lies in `site`."""
    env = {**os.environ, "PYTHONPATH": str(site), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=site.parent, capture_output=True, text=True
    )


@pytest.fixture
def package(tmp_path):
    """A copy of the package without compiled modules."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "site" / "fastmlp", ignore=ignore))


def without_sources(package, *suffixes):
    """Compile a copy of the package, and remove files with these suffixes."""
    compileall.compile_dir(package, quiet=1, legacy=True)
    for suffix in suffixes:
        for source in package.rglob(f"*{suffix}"):
            source.unlink()


def test_an_installation_of_compiled_modules_alone(package):
    expected = run(PACKAGE.parent)
    without_sources(package, ".py")
    result = run(package.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout == expected.stdout != ""


def test_formulas_whose_sources_are_missing_say_so(package):
    without_sources(package, ".py", ".txt")
    last = run(package.parent).stderr.strip().splitlines()[-1]
    assert last.startswith(
        "fastmlp.exceptions.DeviceError: fastmlp compiles its formulas from their sources"
    )
    assert "fastmlp.network.formulas" in last and "--collect-data fastmlp" in last


def test_the_sources_as_data_are_the_modules():
    folder = PACKAGE / "network" / "formulas"
    texts = {path.stem: path.read_text() for path in (folder / "sources").glob("*.txt")}
    modules = {path.stem: path.read_text() for path in folder.glob("*.py")}
    del modules["__init__"]
    assert texts == modules


def test_a_zipped_installation(package, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", package.parent))
    settings = {"NUMBA_CACHE_DIR": str(tmp_path), "KERNEL": "activate.tanh"}
    for expected in ("4", "0"):  # the second process finds what the first one has compiled
        result = run(archive, KERNELS, **settings)
        assert result.returncode == 0, result.stderr
        called, n_compiled = result.stdout.split()
        values = [float(value) for value in called.split(",")[:2]]
        assert values == pytest.approx([math.tanh(-1), math.tanh(3)]) and n_compiled == expected
