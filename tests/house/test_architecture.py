"""Who may import what, and what an import costs."""

import ast
import tomllib
from pathlib import Path

import pytest
from helpers import imported_by

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent


def modules():
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(module):
    """Top-level names of other packages, and modules of this one, that a module imports."""
    outer, inner = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
        if isinstance(node, ast.Import):
            outer |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outer.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = list(Path(module).parts)[: -node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            inner |= {"/".join([*base, *name.split(".")]) for name in names}
    return outer, inner


SKLEARN = {
    "base.py", "bench.py", "classifier.py", "interop.py", "many.py", "metrics.py",
    "onnx_export.py", "options.py", "persistence.py", "plotting.py", "regressor.py",
    "tabular.py", "targets.py", "validation.py", "demos/depth.py", "demos/images.py",
    "demos/result.py",
}  # fmt: skip


@pytest.mark.parametrize("module", modules())
def test_dependencies(module):
    outer, inner = imports(module)
    assert "click" not in outer and "fastmlp_cli" not in outer
    if not module.startswith(("cpu/", "cuda/")):
        assert not outer & {"numba", "llvmlite"}
    if module not in SKLEARN:
        assert "sklearn" not in outer
    if module != "plotting.py" and not module.startswith("demos/"):
        assert "matplotlib" not in outer
    if module.startswith("formulas/"):
        assert outer <= {"math"} and not inner
    if module.startswith(("cpu/", "cuda/")):
        allowed = (
            module.split("/")[0],
            "formulas",
            "plan",
            "parameters",
            "narrowing",
            "kernel_cache",
            "errors",
            "__version__",
        )
        assert all(name.startswith(allowed) for name in inner), inner
    if module == "training.py":
        assert inner == {"schedules", "parameters"}


def test_import_is_light():
    assert not imported_by("import fastmlp") & {"numba", "sklearn", "pandas", "numpy"}
    loaded = imported_by("import fastmlp; fastmlp.MLPClassifier()")
    assert "sklearn" in loaded and "numba" not in loaded


def test_help_is_light():
    code = """
import contextlib, io
from fastmlp_cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main(["fit", "--help"])
assert "Train a network" in out.getvalue()
"""
    assert not imported_by(code) & {"numba", "sklearn", "pandas", "numpy"}


def test_public_names_exist_and_unknown_ones_are_errors():
    for name in fastmlp.__all__:
        assert getattr(fastmlp, name) is not None
    assert set(fastmlp.__all__) <= set(dir(fastmlp))
    with pytest.raises(AttributeError, match="no attribute 'Perceptron'"):
        _ = fastmlp.Perceptron


def test_oldest_versions_are_those_declared():
    root = Path(__file__).parent.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {*project["dependencies"], *extras["test"], *extras["onnx"], *extras["plot"]}
    pinned = (root / "tests" / "oldest-versions.txt").read_text().splitlines()
    pinned = {line.replace("==", ">=") for line in pinned if not line.startswith("#")}
    assert pinned == declared - {"pytest>=8", "hypothesis>=6", "ruff>=0.9"}
