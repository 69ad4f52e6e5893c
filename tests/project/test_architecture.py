"""Who may import what, and what an import costs."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers import imported_by

import fastmlp

PACKAGE = Path(fastmlp.__file__).parent
CLI = Path(__file__).parent.parent.parent / "cli"

# The rooms of the package, each with those that it may import beside itself. A room without a
# folder is a module of that name at the top.
ROOMS = {
    "exceptions": set(),
    "schedules": set(),
    "network": {"exceptions"},
    "engines": {"exceptions", "network"},
    "training": {"exceptions", "schedules", "network", "engines"},
    "estimators": {"exceptions", "schedules", "network", "engines", "training"},
    "tabular": {"exceptions", "schedules", "network", "engines", "training", "estimators"},
    "streaming": {
        "exceptions",
        "schedules",
        "network",
        "engines",
        "training",
        "estimators",
        "tabular",
    },
    "cluster": {"exceptions", "engines", "training", "estimators", "streaming", "tabular"},
    "search": {"exceptions", "engines", "training", "estimators", "tabular", "cluster"},
    "dask": {"exceptions", "training", "cluster"},
    # Model files hold schedules and the state of an optimiser.
    "export": {"exceptions", "schedules", "network", "training", "estimators", "tabular"},
    "serving": {"exceptions", "tabular", "export"},
    "tools": {"exceptions", "network", "engines", "estimators"},
    "plotting": {"exceptions", "network", "training", "estimators", "export"},
    "reports": {"exceptions", "estimators", "tabular", "export"},
    "playground": {
        "exceptions",
        "schedules",
        "network",
        "engines",
        "training",
        "estimators",
        "tabular",
        "serving",
        "demos",
    },
    "demos": {"exceptions", "network", "training", "estimators", "tabular", "export", "plotting"},
}

# Who finds modules by names that are made at run time, and why: the package its public names, the
# doors to private names of other packages those that may be missing, and a fit with a checkpoint
# the writer of files, which knows all models.
FINDS_MODULES = {
    "__init__.py", "demos/__init__.py", "engines/_numba.py", "estimators/_sklearn.py",
    "training/checkpoint.py",
}  # fmt: skip

# Packages that only some rooms may import.
OWNERS = {
    "numba": {"engines/cpu", "engines/cuda", "engines/_numba.py"},
    "numba_cuda": {"engines/cuda", "engines/_numba.py"},
    "llvmlite": {"engines/cpu", "engines/cuda", "engines/_numba.py"},
    "sklearn": {
        "estimators",
        "tabular",
        "search",
        "cluster",
        "export",
        "tools",
        "plotting",
        "reports",
        "demos",
        "playground",
    },
    "pandas": {"tabular", "reports", "demos"},
    "pyarrow": {"tabular"},
    "skops": {"export"},
    "optuna": {"search"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
    "onnx": {"export"},
    "matplotlib": {"plotting", "reports", "demos"},
    "jinja2": {"reports"},
    "markupsafe": {"reports"},
    "starlette": {"serving", "playground"},
    "uvicorn": {"serving", "playground"},
    "click": set(),
    "fastmlp_cli": set(),
}


def modules():
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(source, path, is_whole=True):
    """Absolute names of all that a module of this package imports.

    Names after ``from`` count as modules where such a file exists. A name of the package itself
    counts as the module where it is at home. Functions, and blocks for type checkers, are looked
    into where `is_whole` is set.
    """
    parts = ("fastmlp", *Path(path).with_suffix("").parts)
    package = parts[:-1]
    found = set()
    todo = [ast.parse(source)]
    while todo:
        node = todo.pop()
        is_late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if is_whole or not is_late:
            todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                full = PACKAGE.parent.joinpath(*base, alias.name)
                is_module = full.is_dir() or full.with_suffix(".py").exists()
                found.add(".".join([*base, alias.name] if is_module else base))
                if base == ["fastmlp"] and alias.name in fastmlp._HOME:
                    found.add(f"fastmlp.{fastmlp._HOME[alias.name]}")
    return found


def computed_imports(source):
    """Calls that import modules of this package, or ones whose names are made at run time."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and re.search(r"(import_module|__import__|find_loader)$", ast.unparse(node.func))
        and not re.match(r"'(?!fastmlp|\.)", ast.unparse(node.args[0]))
    ]


def room(name):
    """The room of a module of this package, by its absolute name; '' is the package itself."""
    return [*name.split("."), ""][1]


@pytest.mark.parametrize("module", modules())
def test_imports_run_one_way(module):
    if module == "__init__.py":
        return  # it finds every public name when that is used
    own = module.split("/")[0].removesuffix(".py")
    source = (PACKAGE / module).read_text()
    ours = {name for name in imports(source, module) if name.split(".")[0] == "fastmlp"}
    # The package itself has every public name as an attribute: only its version may be asked for.
    assert not re.search(r"^\s*import fastmlp\b", source, re.MULTILINE)
    if module not in FINDS_MODULES:
        assert not computed_imports(source)
    reached = {room(name) for name in ours} - {own, ""}
    assert reached <= ROOMS[own], f"{module} must not import {reached - ROOMS[own]}"


@pytest.mark.parametrize("module", modules())
def test_packages_have_owners(module):
    outer = {name.split(".")[0] for name in imports((PACKAGE / module).read_text(), module)}
    for package, owners in OWNERS.items():
        if package in outer:
            places = {module, *(parent.as_posix() for parent in Path(module).parents)}
            assert places & owners, f"{module} must not import {package}"


@pytest.mark.parametrize(
    "module", [m for m in modules() if m.startswith(("engines/cpu/", "engines/cuda/"))]
)
def test_devices_do_not_know_each_other(module):
    device = module.split("/")[1]
    other = {"cpu": "cuda", "cuda": "cpu"}[device]
    ours = imports((PACKAGE / module).read_text(), module)
    assert not any(name.startswith(f"fastmlp.engines.{other}") for name in ours)


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("network/")])
def test_a_network_is_numpy_and_math(module):
    found = imports((PACKAGE / module).read_text(), module)
    outer = {name.split(".")[0] for name in found} - {"fastmlp"}
    assert outer <= {"collections", "dataclasses", "enum", "itertools", "math", "numpy", "typing"}
    if module.startswith("network/formulas/"):
        assert outer <= {"math", "typing"}
        assert all(name.startswith("fastmlp.network.formulas") for name in found - outer)


def test_no_circle():
    """A module that is imported at the top of another never imports that, by whatever way."""
    graph = {}
    for module in modules():
        name = ".".join(("fastmlp", *Path(module).with_suffix("").parts))
        found = imports((PACKAGE / module).read_text(), module, is_whole=False)
        graph[name.removesuffix(".__init__")] = {n for n in found if n.startswith("fastmlp.")}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"a circle of imports: {' -> '.join([*path, name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(graph.get(name, ())):
            visit(other)
        done.add(path.pop())

    for name in graph:
        visit(name)


def test_the_rules_see_what_they_forbid():
    """A name that begins like an allowed one, a late import, and a public name are all found."""
    source = """
from ...estimators import planning
from ..cuda.engine import CudaEngine
from ... import MLPClassifier, __version__
try:
    import numba
except ImportError:
    numba = None

def late():
    from ....fastmlp import tabular
    from importlib import import_module as load
    import importlib
    importlib.import_module("..estimators.base", __package__)
"""
    found = imports(source, "engines/cpu/kernels.py")
    assert {
        "fastmlp.estimators.planning", "fastmlp.engines.cuda.engine", "numba",
        "fastmlp.estimators.classifier",
    } <= found  # fmt: skip
    assert computed_imports(source) == ["importlib.import_module('..estimators.base', __package__)"]
    assert "importlib" not in imports(source, "engines/cpu/kernels.py", is_whole=False)
    assert "numba" in imports(source, "engines/cpu/kernels.py", is_whole=False)


@pytest.mark.parametrize("module", modules())
def test_engines_are_known_by_their_contract(module):
    """Above their room, only what looks at the installation knows one engine from another."""
    if module.startswith(("engines/", "tools/")) or module == "__init__.py":
        return
    found = imports((PACKAGE / module).read_text(), module)
    assert not {name for name in found if name.startswith(("fastmlp.engines.c",))} - {
        "fastmlp.engines.custom_functions"
    }


PRIVATE_OF_SKLEARN = re.compile(
    r"sklearn[\w.]*\._(?!_)\w+|\bfrom sklearn[\w.]* import [^\n]*\b_\w+"
    r"|\._(validate_params|init_callback_context|skl_callbacks|score_func)\b"
)


@pytest.mark.parametrize("module", modules())
def test_private_names_of_scikit_learn_have_one_door(module):
    source = (PACKAGE / module).read_text()
    found = PRIVATE_OF_SKLEARN.findall(source)
    assert bool(found) == (module == "estimators/_sklearn.py"), found


def test_the_command_line_makes_library_calls():
    for path in CLI.glob("*.py"):
        outer = {name.split(".")[0] for name in imports(path.read_text(), path.name)}
        assert not outer & {"numba", "sklearn"}, path


def test_import_is_light():
    assert not imported_by("import fastmlp") & {"numba", "sklearn", "pandas", "numpy"}
    loaded = imported_by("import fastmlp; fastmlp.MLPClassifier()")
    assert "sklearn" in loaded and "numba" not in loaded


def test_a_fit_imports_no_compiler_where_its_kernels_are_there():
    code = """
import warnings
import numpy as np
from fastmlp import MLPClassifier
warnings.simplefilter("ignore")
X = np.linspace(-1, 1, 40).reshape(20, 2)
MLPClassifier((4,), max_iter=2).fit(X, np.arange(20) % 2).predict_proba(X)
"""
    imported_by(code)  # leaves what it has to compile in the cache
    assert "numba" not in imported_by(code)


COMPILE = {"barrier", "build", "compilation", "custom_loss", "gemm", "gradient_pass",
           "indirect_call", "jit", "kernels", "layers", "norm_limits", "optimizers", "outputs",
           "patch_sums", "row_loss_kernels", "row_pass", "row_products", "row_reductions", "sparse",
           "vector_code", "vector_math", "views", "weight_pass", "work_sharing"}  # fmt: skip


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("engines/cpu/")])
def test_modules_of_an_ordinary_fit_import_no_compiler(module):
    """Those that compile are known by name, and the others import them in functions alone."""
    found = imports((PACKAGE / module).read_text(), module, is_whole=False)
    names = {f"fastmlp.engines.cpu.{name}" for name in COMPILE} | {"fastmlp.engines._numba"}
    needs = bool(found & names) or any(name.split(".")[0] == "numba" for name in found)
    if Path(module).stem not in COMPILE:
        assert not needs, found & names


def test_networks_need_no_packages_for_tables_files_and_the_command_line():
    """Where a package cannot be imported, what does not need it works.

    scikit-learn imports pandas by itself where that is installed, so its absence from
    ``sys.modules`` would say nothing.
    """
    imported_by("""
import sys
import warnings

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {"click", "dask", "matplotlib", "onnx", "optuna", "pandas", "skops", "tqdm"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import numpy as np
from fastmlp import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")
X = np.linspace(-1, 1, 40).reshape(20, 2)
MLPClassifier((4,), max_iter=2, n_jobs=1).fit(X, np.arange(20) % 2).predict_proba(X)
MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, n_jobs=1).fit(X, X[:, 0]).score(X, X[:, 0])
""")


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


# Other packages stay imported: that takes most of the time, and nothing here depends on them.
EACH_NAME_FIRST = """
import contextlib, sys
for name in sys.argv[1:]:
    for module in [module for module in sys.modules if module.split(".")[0] == "fastmlp"]:
        del sys.modules[module]
    import fastmlp
    with contextlib.suppress(AttributeError):
        getattr(fastmlp, name)
        print(name)
"""


@pytest.fixture(scope="module")
def names_there_at_once():
    """Each public name that the package has when it is the first one of a new import."""
    command = [sys.executable, "-c", EACH_NAME_FIRST, *fastmlp.__all__]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize("name", fastmlp.__all__)
def test_public_names_are_there_at_once(name, names_there_at_once):
    """Whatever was used before: a submodule is no attribute until something imports it."""
    assert name in names_there_at_once


def test_type_checkers_see_the_public_names():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n))
    seen = {alias.asname or alias.name for node in block.body for alias in node.names}
    assert seen == {*fastmlp._HOME, *fastmlp._MODULES}
    assert sorted([*seen, "__version__"]) == fastmlp.__all__


def test_oldest_versions_are_those_declared():
    root = Path(__file__).parent.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {*project["dependencies"], *extras["test"]}
    declared |= {*extras["onnx"], *extras["plot"], *extras["report"]}
    declared = {requirement.split(",")[0] for requirement in declared}
    pinned = (root / "tests" / "oldest-versions.txt").read_text().splitlines()
    pinned = {line.replace("==", ">=") for line in pinned if not line.startswith("#")}
    tools = {"pytest>=8", "pytest-xdist>=3.8", "hypothesis>=6", "numpydoc>=1.8", "setuptools>=77"}
    assert pinned == declared - tools
