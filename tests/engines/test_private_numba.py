"""Private names of numba have one door, and without its cache fastmlp still trains."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import imported_by
from one_kernel import CALL

import fastmlp
from fastmlp.engines import _numba

PACKAGE = Path(fastmlp.__file__).parent
DOOR = "engines/_numba.py"
# What numba and numba-cuda document for everyone.
PUBLIC_MODULES = {"numba", "numba.extending", "numba.cuda", "numba.cuda.extending"}
PUBLIC_NAMES = {"cuda", "float64", "from_dtype", "njit", "types"}


def private_imports(source):
    """Private modules and names of numba that a source imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} - PUBLIC_MODULES - {"numba_cuda"}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            if node.module == "numba":
                found |= {f"numba.{alias.name}" for alias in node.names} - {
                    f"numba.{name}" for name in PUBLIC_NAMES
                }
            elif node.module not in PUBLIC_MODULES:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] in ("numba", "numba_cuda")}


@pytest.mark.parametrize(
    "module", sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
)
def test_private_names_have_one_door(module):
    found = private_imports((PACKAGE / module).read_text())
    assert (found == set()) == (module != DOOR), f"{module} imports {found}"


def test_the_rule_sees_what_it_forbids():
    source = """
import numba, numba.core.config
from numba import njit, cloudpickle
def late():
    from numba.np.arrayobj import populate_array
    from numba.cuda.cudadrv.driver import driver
"""
    assert private_imports(source) == {
        "numba.core.config", "numba.cloudpickle", "numba.np.arrayobj", "numba.cuda.cudadrv.driver",
    }  # fmt: skip


def test_the_door_does_not_lead_to_cuda():
    code = """
import sys
import fastmlp.engines._numba
assert "numba.cuda" not in sys.modules
"""
    assert "numba" in imported_by(code)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'cuda_drivers'"):
        _ = _numba.cuda_drivers


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_without_numbas_object_files_each_process_compiles(tmp_path):
    hide = """
from numba.core.codegen import CPUCodeLibrary
(base,) = (cls for cls in CPUCodeLibrary.__mro__ if "_get_compiled_object" in vars(cls))
del base._get_compiled_object
"""
    call = "from fastmlp.engines.cpu import objects\nobjects._IN_PACKAGE /= 'none'\n" + CALL
    settings = {"NUMBA_CACHE_DIR": str(tmp_path), "KERNEL": "activate.tanh"}
    without = run(hide + call, **settings)
    assert without.returncode == 0, without.stderr
    assert not list(tmp_path.rglob("*.fmo"))
    assert run(call, **settings).stdout == without.stdout
    assert list(tmp_path.rglob("*.fmo"))


@pytest.mark.parametrize(("setting", "is_usual"), [("3", True), ("max", False), ("2", False)])
def test_only_code_of_usual_settings_is_for_other_processes(setting, is_usual):
    code = "from fastmlp.engines._numba import has_usual_settings; print(has_usual_settings())"
    assert run(code, NUMBA_OPT=setting).stdout == f"{is_usual}\n"


def test_without_what_kernels_are_written_with_the_error_names_numba():
    result = run("import numba.core; numba.core.cgutils = None; del numba.core.cgutils\n"
                 "import sys; sys.modules['numba.core.cgutils'] = None\n"
                 "import fastmlp.engines.cpu.compilation")  # fmt: skip
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: numba 0.") and "cgutils" in last
