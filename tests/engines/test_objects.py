"""Kernels that were compiled when the package was built: which there are, and what they compute."""

import json
import os
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from test_same_bits import FITS as SAME_BITS
from test_same_bits import HASHES, needs_multiply_add

import fastmlp
from fastmlp.engines.cpu import (
    catalogue,
    compilation,
    dispatch,
    library,
    objects,
    prediction,
    slots,
)
from fastmlp.engines.cpu.vector_unit import LEVEL, LEVELS
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

HIDDEN = "NUMBA_", "FASTMLP_"
DTYPES = "float32", "float64"


def environment(site, **others):
    """The environment of a process that imports the package from a folder."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
    if "NUMBA_CACHE_DIR" in os.environ:
        env["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"]
    path = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return env | {"PYTHONPATH": os.pathsep.join(path)} | others


def python(site, *arguments, **others):
    env = environment(site, **others)
    command = [sys.executable, "-W", "ignore", *arguments]
    return subprocess.run(command, env=env, cwd=site, capture_output=True, text=True)


def build(site, folder, dtype, *names):
    """Compile kernels for this machine's level, as the build of a wheel does."""
    settings = {"FASTMLP_LEVEL": LEVEL, "FASTMLP_CACHE": "0", "PYTHONHASHSEED": "0"}
    module = "fastmlp.engines.cpu.build"
    result = python(site, "-m", module, dtype, str(folder), *names, **settings)
    assert result.returncode == 0, result.stderr
    return (folder / objects.name_in_package(LEVEL, np.dtype(dtype))).read_bytes()


def copied(folder):
    """A copy of the package without compiled code, which a test may change."""
    ignore = shutil.ignore_patterns("__pycache__", "objects")
    shutil.copytree(Path(fastmlp.__file__).parent, folder / "fastmlp", ignore=ignore)
    (folder / "fastmlp" / "engines" / "cpu" / "objects").mkdir()
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with the package and its compiled kernels, as a wheel installs it."""
    if LEVEL is None:
        pytest.skip("no level has the vectors of this processor")
    site = copied(tmp_path_factory.mktemp("site"))
    folder = site / "fastmlp" / "engines" / "cpu" / "objects"
    missing = [dtype for dtype in DTYPES if not is_installed(dtype, folder)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda dtype: build(site, folder, dtype), missing))
    return site


def is_installed(dtype, folder):
    """Copy what the build of the package has compiled; tell whether there is such a file."""
    if objects.why_not_in_package(np.dtype(dtype)):
        return False
    name = objects.name_in_package(LEVEL, np.dtype(dtype))
    shutil.copy(Path(objects.__file__).parent / "objects" / name, folder)
    return True


FITS = """
import hashlib, os, sys
import numpy as np
from scipy.sparse import csr_matrix
from fastmlp import MLPClassifier, MLPRegressor, input_gradients
from fastmlp.engines.cpu import engine, library
engine._TEAM_MULTIPLY_ADDS, engine._THREAD_PREDICTION = 0, 1
engine.default_n_threads = lambda: int(os.environ["THREADS"])
rng = np.random.RandomState(0)
X, classes = rng.normal(size=(90, 7)), rng.randint(0, 3, 90)
targets = np.abs(X @ rng.normal(size=(7, 2))) + 0.1
digest = hashlib.sha256()

def fit(cls, y, X=X, **options):
    options = {"hidden_layer_sizes": (21, 9), "batch_size": 30, **options}
    model = cls(max_iter=3, random_state=0, diagnose=False, **options)
    model.fit(X.astype(DTYPE), y, callback=lambda epoch: None)
    parts = [*model.coefs_, *model.intercepts_, model.predict(X.astype(DTYPE))]
    parts.append(input_gradients(model, X.astype(DTYPE)))
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())

DTYPE = np.float32
for activation in ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu",
                   "silu", "softplus"):
    fit(MLPClassifier, classes, activation=activation)
for solver in ("sgd", "adam", "adagrad", "rmsprop", "nadam", "lbfgs"):
    fit(MLPClassifier, classes == 1, solver=solver)
fit(MLPClassifier, classes, solver="sgd", nesterovs_momentum=False)
fit(MLPClassifier, classes, dropout=0.3, max_norm=1.0)
fit(MLPClassifier, classes, clip_norm=0.5, weight_decay=0.01, hidden_layer_sizes=(40, 40))
fit(MLPClassifier, classes, loss="margin")
fit(MLPClassifier, targets > 1, X=csr_matrix(X * (X > 0.5)))
for loss in ("squared_error", "poisson", "absolute_error", "huber"):
    fit(MLPRegressor, targets, loss=loss)
fit(MLPRegressor, targets[:, 0], loss="quantile", early_stopping=True)
DTYPE = np.float64
fit(MLPClassifier, classes, early_stopping=True, batch_size=80, hidden_layer_sizes=(5,))
fit(MLPRegressor, targets, hidden_layer_sizes=())
origins = library.origins()
from_here = origins["the cache"] + origins["compiled in this process"]
print(digest.hexdigest(), "numba" in sys.modules, origins["the package"] > 20, from_here)
"""


def fits(site, **settings):
    """Digest of many fits, whether numba was imported, and where kernels were compiled.

    That is whether the package had them, and how many were compiled on this machine.
    """
    result = python(site, "-c", FITS, **{"THREADS": "2", **settings})
    assert result.returncode == 0, result.stderr
    digest, has_numba, from_package, n_from_here = result.stdout.split()
    return digest, has_numba == "True", from_package == "True", int(n_from_here)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Settings of a cache folder that is empty at first, which the tests share."""
    return {"NUMBA_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A folder with the package, without compiled kernels."""
    return copied(tmp_path_factory.mktemp("bare"))


def test_they_compute_what_the_compiler_here_would_bit_for_bit(site, bare, cache):
    found = [fits(site, THREADS=str(n_threads)) for n_threads in (1, 2, 3)]
    assert found == [found[0]] * 3
    assert found[0][1:] == (False, True, 0)
    digest, _, from_package, n_from_here = fits(bare, **cache)
    assert digest == found[0][0] and not from_package and n_from_here > 20


@needs_multiply_add
def test_code_for_this_very_processor_has_the_bits_of_every_other_machine(bare, cache):
    result = python(bare, "-c", SAME_BITS, "float32", **cache)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [HASHES["float32"]]


SMALL = """
import sys
import numpy as np
from fastmlp import MLPClassifier
from fastmlp.engines.cpu import library
from fastmlp.tools import doctor
X, y = np.linspace(-1, 1, 60).reshape(20, 3), np.arange(20) % 3
model = MLPClassifier((5,), max_iter=3, random_state=0, diagnose=False)
print(*model.fit(X, y, callback=lambda e: None).predict_proba(X)[0])
origins = library.origins()
assert ("numba" in sys.modules) == (origins["compiled in this process"] > 0)
print(origins["the package"], origins["compiled in this process"], sep="\\n")
facts, problems = {}, []
doctor._compiled_code(facts, problems)  # the other facts take long
assert not problems, problems
print(facts["compiled code"])
"""


@pytest.fixture
def changed(site, tmp_path):
    """A copy of the site whose kernels a test may change."""
    shutil.copytree(site, tmp_path / "site", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "site"


def file_of(site, dtype="float64"):
    name = objects.name_in_package(LEVEL, np.dtype(dtype))
    return site / "fastmlp" / "engines" / "cpu" / "objects" / name


def fit_and_doctor(site, **settings):
    """What a small fit predicts, where its kernels came from, and doctor's line on the code."""
    result = python(site, "-c", SMALL, **settings)
    assert result.returncode == 0, result.stderr
    *values, from_package, compiled, line = result.stdout.splitlines()
    return values, int(from_package) > 0, int(compiled) > 0, line


@pytest.fixture(scope="module")
def expected(site, cache):
    """What a small fit predicts with the kernels of the package."""
    values, *found = fit_and_doctor(site, **cache)
    assert found == [True, False, f"for {LEVEL}, from the package"]
    return values


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("truncated", "it is damaged"),
        ("tampered", "it is damaged"),
        ("foreign", "it was compiled for another machine (platform)"),
        ("stale", "it was compiled from other sources"),
        ("unlinkable", "LLVM cannot link it"),
        ("missing", f"the package has no code for {LEVEL}"),
    ],
)
def test_what_cannot_be_used_is_compiled_with_equal_results(how, words, changed, cache, expected):
    file = file_of(changed)
    content = file.read_bytes()
    about, code = objects.unpacked(content)
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "tampered":
        file.write_bytes(content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:])
    elif how == "foreign":
        file.write_bytes(objects.packed(about | {"platform": "x86_64-pc-windows-msvc"}, code))
    elif how == "stale":
        cache = {"NUMBA_CACHE_DIR": str(changed.parent / "cache")}  # it replaces what is in one
        with open(changed / "fastmlp" / "network" / "formulas" / "losses.py", "a") as source:
            source.write("# edited\n")
    elif how == "unlinkable":
        file.write_bytes(objects.packed(about, code[: len(code) // 2]))
    else:
        file.unlink()
    values, from_package, _, line = fit_and_doctor(changed, **cache)
    assert values == expected and not from_package
    assert line.startswith(f"for {LEVEL}, compiled on this machine: ") and words in line
    # The cache has them now, for later processes.
    values, from_package, compiled, _ = fit_and_doctor(changed, **cache)
    assert values == expected and not from_package and not compiled


CUSTOM = """
import sys
import numpy as np
from fastmlp import MLPRegressor
from fastmlp.engines.cpu import library
X = np.linspace(-1, 1, 60).reshape(20, 3)
loss = (lambda y, p: (p - y) ** 4, lambda y, p: 4 * (p - y) ** 3)
model = MLPRegressor(loss=loss, hidden_layer_sizes=(5,), max_iter=3, random_state=0)
print(*model.fit(X, X[:, 0], callback=lambda epoch: None).predict(X)[:2])
print(*library.origins().values())
"""


def test_a_custom_loss_compiles_itself_alone(changed, cache):
    result = python(changed, "-c", CUSTOM, **cache)
    assert result.returncode == 0, result.stderr
    predictions, origins = result.stdout.splitlines()
    assert origins.split()[1:] == ["0", "0"]
    file = file_of(changed)
    about, code = objects.unpacked(file.read_bytes())
    file.write_bytes(objects.packed(about | {"numba": "0.0.1"}, code))
    result = python(changed, "-c", CUSTOM, **cache)
    assert result.returncode == 0, result.stderr
    other, origins = result.stdout.splitlines()
    assert other == predictions
    n_package, n_cache, n_compiled = map(int, origins.split())
    assert n_package == 0 and n_cache + n_compiled > 10
    # Other losses go on with the package's code.
    assert fit_and_doctor(changed, **cache)[1:] == (True, False, f"for {LEVEL}, from the package")


@pytest.fixture
def of_package(monkeypatch):
    """A process that has loaded kernels of float32, which another version of numba compiled."""
    dtype, names = np.dtype(np.float32), ("train", "multiply", "forward")
    known = {(name, dtype): 8 for name in names}
    monkeypatch.setattr(library, "_addresses", dict(known))
    monkeypatch.setattr(library, "_places", dict.fromkeys(known, "the package"))
    monkeypatch.setattr(library, "_functions", {})
    monkeypatch.setattr(library, "_looked_for", {dtype: ""})
    monkeypatch.setattr(objects, "_shared", [])
    monkeypatch.setattr(library, "_is_shared", False)
    monkeypatch.setattr(objects, "why_not_in_package", lambda dtype: "of another numba")
    for cached in (dispatch.prediction_calls, prediction._idle_rooms):
        cached.cache_clear()
    yield dtype, known
    dispatch.prediction_calls.cache_clear()


def test_kernels_of_another_numba_are_forgotten_wholly(of_package):
    dtype, known = of_package
    network = (Activation.IDENTITY,), Loss.SQUARED_ERROR, dtype
    before = library.function("train", dtype)
    calls = dispatch.prediction_calls(*network, False)
    rooms = prediction._idle_rooms((2, 3, 2), *network)
    rooms.append("prepared")
    assert library.function("train", dtype) is before
    library.share_with_compiler()
    library._addresses.update(dict.fromkeys(known, 16))
    assert library.function("train", dtype) is not before
    assert sum(dispatch.prediction_calls(*network, False)) == 2 * sum(calls) > 0
    assert prediction._idle_rooms((2, 3, 2), *network) == []
    assert rooms == ["prepared"]  # networks that have it go on with what they have


def test_what_is_wrong_with_numba_is_said_before_it_is_shared():
    code = "from fastmlp.engines.cpu.objects import require_this_numba; require_this_numba()"
    result = python(Path(fastmlp.__file__).parent.parent, "-c", code, NUMBA_NUM_THREADS="0")
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("fastmlp.exceptions.DeviceError: numba cannot be imported")


def test_the_package_is_read_once_for_all_custom_losses(of_package, monkeypatch):
    asked = []
    monkeypatch.setattr(objects, "why_not_in_package", lambda dtype: asked.append(dtype) or "")
    library.share_with_compiler()
    library.share_with_compiler()
    assert asked == [of_package[0]] and ("train", of_package[0]) in library._addresses


def test_searches_and_commands_import_no_compiler(site, tmp_path):
    rows = [f"{a},{a * a % 7},{'yes' if a % 3 else 'no'}" for a in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c", *rows]))
    code = f"""
import contextlib, os, sys, warnings
import numpy as np
from sklearn.model_selection import GridSearchCV
from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp_cli.main import main
warnings.simplefilter("ignore")
os.chdir({str(tmp_path)!r})
X, y = np.linspace(-1, 1, 120).reshape(40, 3), np.arange(40) % 2
options = {{"max_iter": 2, "random_state": 0}}
GridSearchCV(MLPClassifier((4,), **options), {{"alpha": [0.1, 1.0]}}, cv=2).fit(X, y).predict(X)
fit_many([MLPRegressor(hidden_layer_sizes=(3,), **options) for _ in range(2)], X, X[:, 0])
with contextlib.suppress(SystemExit):
    main(["fit", "t.csv", "--output", "m.fastmlp"])
assert os.path.getsize("m.fastmlp") > 0
print("numba" in sys.modules)
"""
    result = python(site, "-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == "False", result.stdout


def undefined(code):
    """Names that an ELF object file of 64 bits refers to and does not define."""
    (sections,) = struct.unpack_from("<Q", code, 40)
    size, number = struct.unpack_from("<HH", code, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", code, sections + i * size) for i in range(number)]
    (table,) = (header for header in headers if header[1] == 2)
    names = headers[table[6]][4]
    found = set()
    for place in range(table[4], table[4] + table[5], 24):
        name, _, _, section = struct.unpack_from("<IBBH", code, place)
        if section == 0 and name:
            found.add(code[names + name : code.index(b"\0", names + name)].decode())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="another form of object files")
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_need_nothing_but_the_c_library(dtype, site):
    about, code = objects.unpacked(file_of(site, dtype).read_bytes())
    assert undefined(code) <= {"memcpy", "memset", "pow", "sched_yield", "syscall"}
    assert set(about["exports"]) == set(catalogue.names_of(np.dtype(dtype)))
    unit = LEVELS[LEVEL].unit
    assert (about["vector_bytes"], about["tile_rows"]) == (unit.n_bytes, unit.tile_rows)
    assert str(site) not in json.dumps(about) and str(site).encode() not in code


def test_two_builds_are_equal(site, tmp_path):
    names = "activate.relu", "update.adam", "predict", "row_losses.margin"
    first = build(site, tmp_path, "float64", *names)
    assert build(site, tmp_path, "float64", *names) == first


def test_every_plan_finds_its_kernels_in_the_catalogue(monkeypatch):
    asked = set()
    monkeypatch.setattr(dispatch.library, "address", lambda name, dtype: asked.add(name) or 1)
    cached = dispatch.prediction_calls, dispatch.gradient_calls
    for calls in cached:
        calls.cache_clear()
    losses = [loss for loss in Loss if loss != Loss.CUSTOM]
    trained = [activation for activation in Activation if activation.is_trainable]
    for activation, dropout, is_sparse in product(trained, (0.0, 0.5), (False, True)):
        plan = TrainingPlan((2, 3, 2), activation, Loss.POISSON, Optimizer.SGD, dropout=(dropout,))
        dispatch.training_calls(plan, is_sparse)
    for loss, optimizer in product(losses, Optimizer):
        plan = TrainingPlan(
            (2, 3, 2), Activation.RELU, loss, optimizer, loss_parameters=(1.0, 1.0),
            clip_norm=1.0, weight_decay=1.0, max_norm=1.0,
        )  # fmt: skip
        dispatch.training_calls(plan, False)
        dispatch.prediction_calls(plan.activations, loss, plan.dtype, True)
    for activation in set(Activation) - set(trained):  # they have values, and slopes of inputs
        dispatch.gradient_calls((activation,), Loss.POISSON, plan.dtype, False)
    for calls in cached:
        calls.cache_clear()
    assert asked | {"train", "predict", "differentiate"} == set(catalogue.NAMES)
    assert len(catalogue.DOUBLE_NAMES) == len(losses)


@pytest.mark.parametrize("name", [*catalogue.NAMES, *catalogue.DOUBLE_NAMES])
def test_every_name_has_a_function_and_a_signature(name):
    kernel = compilation.kernel(name)
    n_arguments = kernel.py_func.__code__.co_argcount
    assert n_arguments == len(catalogue.signature(name))
    assert len(compilation.types_of(name, np.dtype(np.float32))) == n_arguments


def test_a_level_that_this_processor_lacks_is_refused():
    other = "aarch64" if LEVEL != "aarch64" else "x86-64-v2"
    result = python(Path(fastmlp.__file__).parent.parent, "-c", SMALL, FASTMLP_LEVEL=other)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("fastmlp.exceptions.DeviceError: this processor does not run")
    result = python(Path(fastmlp.__file__).parent.parent, "-c", SMALL, FASTMLP_LEVEL="x86-64-v9")
    assert "FASTMLP_LEVEL must be one of x86-64-v4, " in result.stderr


USED = """
import numba, sys
import numpy as np
if "used" in sys.argv:
    numba.njit(lambda x: x + 1)(1)
from fastmlp.engines.cpu import library
library.address("transpose_block", np.dtype(np.float32))
print(library.origins())
"""


@pytest.mark.skipif(LEVEL is None, reason="no level has the vectors of this processor")
def test_a_level_is_refused_where_numba_compiles_for_another():
    place = Path(fastmlp.__file__).parent.parent
    settings = {"FASTMLP_LEVEL": LEVEL, "FASTMLP_JIT": "1"}
    result = python(place, "-c", USED, "used", **settings)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("fastmlp.exceptions.DeviceError: numba has compiled for this processor")
    assert "unset FASTMLP_LEVEL" in last
    result = python(place, "-c", USED, **settings)
    assert "'compiled in this process': 1" in result.stdout, result.stderr


def test_a_table_of_slots_knows_every_kernel():
    assert set(map(catalogue.signature, catalogue.NAMES)) >= set(slots.SIGNATURES.values())
