"""The same bits on any machine: one hash of many fits, on every level of processors."""

import math
import os
import subprocess
import sys
from fractions import Fraction

import numba
import numpy as np
import pytest

from fastmlp.engines.cpu import patch_sums, vector_math
from fastmlp.engines.cpu.jit import compile_formula
from fastmlp.engines.cpu.vector_unit import HOST, LEVEL, runs

# Nothing here may depend on the system: data are whole numbers and fractions with few bits, and
# neither numpy's products nor its functions are used.
FITS = """
import hashlib
import sys
import numpy as np
from scipy.sparse import csr_matrix
from fastmlp import MLPClassifier, MLPRegressor

digests = {np.dtype(name): hashlib.sha256() for name in sys.argv[1:]}


def add(dtype, *arrays):
    for array in arrays:
        digests[dtype].update(np.ascontiguousarray(array, dtype="<f8").tobytes())


def table(n_rows, n_columns):
    numbers = np.arange(n_rows * n_columns, dtype=np.int64) * 7919 + 12345
    numbers = numbers * 1103515245 % 2147483647 % 1024
    return (numbers / 512.0 - 1.0).reshape(n_rows, n_columns)


def fit(cls, X, y, weights=None, **options):
    for dtype in digests:
        given = {"hidden_layer_sizes": (21, 9), "batch_size": 30, "max_iter": 3, **options}
        model = cls(random_state=0, diagnose=False, **given)
        rows = X.astype(dtype)
        model.fit(rows, y, sample_weight=weights, callback=lambda epoch: None)
        predict = getattr(model, "predict_proba", model.predict)
        add(dtype, *model.coefs_, *model.intercepts_, model.loss_curve_)
        add(dtype, model.validation_scores_ if given.get("early_stopping") else [])
        add(dtype, *(predict(rows[:n]) for n in (1, 3, 100)))
        if isinstance(rows, np.ndarray):
            add(dtype, predict(np.concatenate([rows] * (5000 // len(rows) + 1))[:5000]))


X, tall, wide = table(130, 7), table(700, 5), table(150, 300)
first = X[:, 0] > 0
classes = {n: (np.arange(130) * 7 + first) % n for n in (2, 3, 10, 26, 40)}
targets = np.stack([X[:, 0] * 2 - X[:, 1], X[:, 2] * X[:, 3]], axis=1)
for y in classes.values():
    fit(MLPClassifier, X, y)
fit(MLPRegressor, X, targets)
fit(MLPRegressor, X, targets[:, 0], solver="sgd")
fit(MLPRegressor, X, targets, weights=1.0 + np.arange(130) % 3)
fit(MLPClassifier, X, targets > 0.25, alpha=0.125, hidden_layer_sizes=(70, 33))
fit(MLPClassifier, X, classes[3], l1=0.0078125, clip_value=0.0625, hidden_layer_sizes=(70, 33))
fit(MLPClassifier, X, classes[3], clip_norm=0.25, weight_decay=0.0625, activation="tanh")
fit(MLPClassifier, X, classes[3], dropout=0.25, max_norm=1.0, activation="gelu", solver="nadam")
fit(MLPClassifier, csr_matrix(X * (X > 0.5)), classes[3])
fit(MLPClassifier, wide, (wide[:, 0] > 0).astype(int) + (wide[:, 1] > 0), batch_size=50)
fit(MLPRegressor, tall, tall[:, 0] * tall[:, 1], batch_size=200, hidden_layer_sizes=(24,))
labels = (tall[:, 0] > tall[:, 1]).astype(int) + (tall[:, 2] > 0)
fit(MLPClassifier, tall, labels, batch_size=600, hidden_layer_sizes=(12,))
fit(MLPClassifier, tall, labels, early_stopping=True, batch_size=64)
fit(MLPRegressor, tall, tall[:, 0] * tall[:, 1], early_stopping=True, batch_size=64)
for digest in digests.values():
    print(digest.hexdigest())
"""
HASHES = {
    "float32": "f8613656e311c336a537331812e11ceb6fcaf0c8d569acb625134e0e86318c2c",
    "float64": "f86f1e72761a5b58f6c1bf791eb770269ea9835df10af1e73ddfd0a80b3f3c71",
}

# The shapes of 64-bit ARM, in code of x86-64.
SHAPES_OF_ARM = """
from fastmlp.engines.cpu import vector_unit
of_arm = vector_unit.LEVELS["aarch64"].unit
other = vector_unit.LEVELS["x86-64-v3"]
level = vector_unit.Level(other.architecture, other.cpu, other.tuning, other.needs, of_arm)
vector_unit.LEVELS["x86-64-v3"] = level
vector_unit.HOST, vector_unit.TILE_ROWS = of_arm, of_arm.tile_rows
"""

needs_multiply_add = pytest.mark.skipif(
    not HOST.has_fma, reason="this processor has no multiply-adds, and so rounds each product"
)


def fits(code, *dtypes, **settings):
    """The hash of the fits of each dtype in another process, with some settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FASTMLP_L")}
    command = [sys.executable, "-W", "ignore", "-c", code, *dtypes]
    result = subprocess.run(command, env=env | settings, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return dict(zip(dtypes, result.stdout.split(), strict=True))


@needs_multiply_add
def test_they_are_the_bits_of_every_other_machine():
    assert fits(FITS, "float32", "float64") == HASHES


@pytest.mark.slow
@pytest.mark.parametrize("level", ["x86-64-v3", "x86-64-v4"])
def test_other_levels_have_them(level):
    if level == LEVEL or not runs(level):
        pytest.skip("it is this processor's own level, or its code does not run here")
    assert fits(FITS, "float32", FASTMLP_LEVEL=level) == {"float32": HASHES["float32"]}


@pytest.mark.slow
@pytest.mark.skipif(not runs("x86-64-v3"), reason="the code is for x86-64-v3")
def test_the_shapes_of_arm_have_them():
    settings = {"FASTMLP_LEVEL": "x86-64-v3", "FASTMLP_JIT": "1"}
    found = fits(SHAPES_OF_ARM + FITS, "float64", **settings)
    assert found == {"float64": HASHES["float64"]}


def product_and_sums(x, y, z):
    return x * y + z, z + x * y, x * y - z, z - x * y, x**0.5


@needs_multiply_add
def test_formulas_round_a_product_and_a_sum_once():
    formula = compile_formula(product_and_sums)

    @numba.njit
    def run(x, y, z):
        return formula(x, y, z)

    x, y, z = 1 + 2.0**-30, 1 + 2.0**-30, 1.0
    exact = Fraction(x) * Fraction(y)
    above, below = float(exact + 1), float(exact - 1)
    assert below != x * y - z
    assert run(x, y, z) == (above, above, below, -below, math.sqrt(x))


def test_powers_by_squaring():
    @numba.njit
    def run(x, n):
        return vector_math.power(x, n)

    for base in (0.9, 0.999, 0.5, 0.0):
        for n in (0, 1, 2, 3, 10, 1000, 12345):
            exact = float(Fraction(base) ** n)
            assert abs(run(base, float(n)) - exact) <= (n + 1) * 2.0**-53 * exact


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 3, 4, 18])
def test_sums_over_patches_leave_padding_out(dtype, rows):
    columns = 32 // np.dtype(dtype).itemsize

    @numba.njit
    def run(arena, rows, width, n_patches, squares, absolutes):
        patch_sums.add_squares(arena, 5, rows, width, n_patches, squares, 1)
        patch_sums.add_absolutes(arena, 5, rows, width, n_patches, absolutes, 1)

    for width in range(columns // 2, 4 * columns, columns // 2):
        # Whole numbers, whose sums are exact in any order.
        arena = (np.arange(5 + rows * width + 64) % 7 - 3).astype(dtype)
        block = arena[5 : 5 + rows * width].reshape(rows, width)
        n_patches = -(-width // columns)
        squares, absolutes = np.full(n_patches + 2, 0.5), np.full(n_patches + 2, 0.5)
        run(arena, rows, width, n_patches, squares, absolutes)
        for patch in range(n_patches):
            part = block[:, patch * columns : (patch + 1) * columns]
            assert squares[1 + patch] == 0.5 + (part * part).sum()
            assert absolutes[1 + patch] == 0.5 + abs(part).sum()
        assert squares[[0, -1]].tolist() == absolutes[[0, -1]].tolist() == [0.5, 0.5]
