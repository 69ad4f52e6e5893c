"""Compiled code: what is compiled when, tiles of any shape, narrower vectors."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy.special

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines.cpu import library, vector_math
from fastmlp.engines.cpu.arguments import Matrix, Size, StridedMatrix
from fastmlp.engines.cpu.gemm import TILE_ROWS, tile, transpose_square
from fastmlp.engines.cpu.vector_unit import lanes


def run(cls, X, y, **params):
    """A fit of two epochs, and a prediction."""
    model = cls(max_iter=5, random_state=0, **params)
    model.fit(X, y, callback=lambda epoch: epoch.epoch == 2)
    return model.predict(X)


def test_other_networks_compile_nothing():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(60, 5)), rng.randint(0, 3, 60)
    run(MLPClassifier, X, y)
    run(MLPClassifier, X, y == 1)
    run(MLPRegressor, X, y)
    before = set(library._places)
    assert ("train", np.dtype(np.float64)) in before
    run(MLPClassifier, X, y, hidden_layer_sizes=())
    run(MLPClassifier, X, y, hidden_layer_sizes=(70, 3, 40, 9), alpha=0)
    run(MLPClassifier, X, y == 1, activation="identity", batch_size=7)
    run(MLPClassifier, X[:, :2], y, n_jobs=1)
    run(MLPClassifier, X, y, early_stopping=True, shuffle=False)
    run(MLPClassifier, np.asfortranarray(X), y, hidden_layer_sizes=(300, 300))
    run(MLPRegressor, X, np.c_[y, y].astype(float), loss="squared_error")
    MLPRegressor().fit(X, y, sample_weight=y + 1.0, callback=lambda epoch: True)
    read_only = X.copy()
    read_only.flags.writeable = False
    run(MLPRegressor, read_only, y)
    assert set(library._places) == before


OPTIONS = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_kernels import run
from fastmlp import MLPClassifier
from fastmlp.engines.cpu import library
asked, address = set(), library.address
library.address = lambda name, dtype: asked.add(name) or address(name, dtype)
X, y = np.eye(4), np.arange(4)
run(MLPClassifier, X, y)
before = set(asked)
run(MLPClassifier, X, y, activation="gelu", solver="nadam", max_norm=1.0)
print(*(asked - before))
"""


def test_an_option_asks_for_its_own_kernels_alone():
    """Only those are compiled where the package has none."""
    here = str(Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", OPTIONS, here], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) == {
        "activate.gelu", "activate_and_keep.gelu", "limit_norms", "multiply_by_kept",
        "update.nadam",
    }  # fmt: skip


@numba.njit
def call_tile(arena, size, a, b, c, init):
    tile(arena, size, a, b, c, init)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tile_of_every_shape(dtype):
    rng = np.random.default_rng(0)
    dtype = np.dtype(dtype)
    for rows in range(1, TILE_ROWS + 1):
        for n_vectors in (1, 2):
            for depth in (1, 2, 7, 50):
                width = n_vectors * lanes(dtype)
                A, B = rng.normal(size=(rows, depth)), rng.normal(size=(depth, width))
                A, B = A.astype(dtype), B.astype(dtype)
                init = rng.normal(size=width).astype(dtype)
                for stored, a_row, a_col in ((A, depth, 1), (A.T, 1, rows)):
                    arena = np.concatenate([np.ravel(stored), B.ravel(), init]).astype(dtype)
                    b, bias, c = A.size, A.size + B.size, A.size + B.size + width
                    whole = None
                    # Half a vector fewer, and one number more than that.
                    for fewer in (0, lanes(dtype) // 2, lanes(dtype) // 2 - 1):
                        used = width - fewer
                        room = np.full((rows + 1) * (width + 3), 7, dtype)
                        full_arena = np.concatenate([arena, room])
                        call_tile(
                            full_arena, Size(rows, used, depth), StridedMatrix(0, a_row, a_col),
                            Matrix(b, width), Matrix(c, width + 3), Matrix(bias, 0),
                        )  # fmt: skip
                        result = full_arena[c:].reshape(rows + 1, width + 3)
                        if whole is None:
                            whole = result
                            expected = A.astype(float) @ B.astype(float) + init
                            np.testing.assert_allclose(
                                result[:rows, :width], expected,
                                rtol=0, atol=500 * np.finfo(dtype).eps,
                            )  # fmt: skip
                        np.testing.assert_array_equal(result[:rows, :used], whole[:rows, :used])
                        # Nothing beside or below the tile was touched.
                        assert (result[rows] == 7).all() and (result[:, width:] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transpose_in_registers(dtype):
    side = lanes(np.dtype(dtype))
    arena = np.arange(4 * side * side, dtype=dtype)
    square = arena[: 2 * side * side].reshape(side, 2 * side)[:, :side].copy()

    @numba.njit
    def run(arena, side):
        transpose_square(arena, 0, 2 * side, 2 * side * side, side)

    run(arena, side)
    result = arena[2 * side * side :][: side * side].reshape(side, side)
    np.testing.assert_array_equal(result, square.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf"])
def test_vector_math(name, dtype):
    function = getattr(vector_math, name)

    @numba.njit
    def apply(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    limit = 0.99 * np.log(np.finfo(dtype).max)
    x = np.concatenate([np.linspace(-limit, limit, 20001), np.linspace(-2, 2, 20001)])
    x = np.append(x, [1e-30, -1e-30, 0.0]).astype(dtype)
    if name == "log":
        tiny = np.finfo(dtype).tiny
        x = np.exp(x[:20001]), np.linspace(0.5, 2, 20001), [tiny, tiny / 2, tiny / 1000]
        x = np.concatenate(x).astype(dtype)
    y = np.empty_like(x)
    apply(x, y)
    reference = scipy.special.erf if name == "erf" else getattr(np, name)
    exact = reference(x if name == "erf" else x.astype(np.longdouble))
    ulps = np.abs(y - exact) / np.abs(np.where(exact == 0, 1, exact)) / np.finfo(dtype).eps
    # scipy rounds the error function itself.
    assert ulps[np.abs(exact) >= np.finfo(dtype).tiny].max() < (2 if name == "erf" else 1.5)
    edge = np.array([np.inf, -np.inf, np.nan, 1e4, -1e4, 0.0], dtype)
    if name == "log":
        edge[3] = 1
    apply(edge, y)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(y[:6], reference(edge))


NARROW = """
import numpy as np, sys
from sklearn.datasets import load_iris
import sklearn.neural_network as sk, fastmlp
from fastmlp.engines.cpu.vector_unit import HOST
assert HOST.n_bytes == int(sys.argv[1])
X, y = load_iris(return_X_y=True)
for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-4)):
    a, b = (
        m.MLPClassifier((21, 9), random_state=0, max_iter=100, n_iter_no_change=1, tol=0.05)
        .fit(X.astype(dtype), y) for m in (sk, fastmlp)
    )
    assert max(abs(p - q).max() for p, q in zip(a.coefs_, b.coefs_)) < tolerance
print("equal")
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels of x86-64")
@pytest.mark.parametrize(("n_bytes", "level"), [("16", "x86-64-v2"), ("32", "x86-64-v3")])
def test_narrower_vectors(n_bytes, level):
    env = {**os.environ, "FASTMLP_LEVEL": level}
    result = subprocess.run(
        [sys.executable, "-c", NARROW, n_bytes], env=env, capture_output=True, text=True
    )
    assert result.stdout == "equal\n", result.stderr
