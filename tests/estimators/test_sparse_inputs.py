"""Sparse matrices with wrong indices are refused before compiled code believes them."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import fit_quietly

from fastmlp import MLPClassifier, MLPRegressor, check_gradient, fit_many

N_ROWS, N_COLUMNS = 24, 10
GOOD = sp.random(N_ROWS, N_COLUMNS, 0.3, "csr", random_state=2)
Y = np.arange(N_ROWS) % 2
QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}

# What is done to the arrays of a compressed matrix; ``last`` is its number of columns or rows.
DAMAGES = {
    "index-one-too-large": lambda m, last: m.indices.__setitem__(3, last),
    "index-far-out": lambda m, last: m.indices.__setitem__(3, 2**30),
    "index-negative": lambda m, last: m.indices.__setitem__(-1, -1),
    "index-far-negative": lambda m, last: m.indices.__setitem__(0, -(2**30)),
    "starts-fall": lambda m, last: m.indptr.__setitem__(5, 0),
    "start-far-out": lambda m, last: m.indptr.__setitem__(2, 2**30),
    "start-negative": lambda m, last: m.indptr.__setitem__(1, -7),
    "end-far-out": lambda m, last: m.indptr.__setitem__(-1, 2**30),
    "begins-late": lambda m, last: m.indptr.__setitem__(0, 1),
    "starts-too-few": lambda m, last: setattr(m, "indptr", m.indptr[:-1].copy()),
    "starts-too-many": lambda m, last: setattr(m, "indptr", np.r_[m.indptr, m.indptr[-1]]),
    "values-too-few": lambda m, last: setattr(m, "data", m.data[:5].copy()),
    "indices-too-few": lambda m, last: setattr(m, "indices", m.indices[:5].copy()),
    "indices-are-floats": lambda m, last: setattr(m, "indices", m.indices.astype(float)),
}


def damaged(container, damage, integer=np.int32):
    matrix = container(GOOD.copy())
    matrix.indices, matrix.indptr = matrix.indices.astype(integer), matrix.indptr.astype(integer)
    DAMAGES[damage](matrix, N_ROWS if matrix.format == "csc" else N_COLUMNS)
    return matrix


@pytest.fixture(scope="module")
def models():
    """They are not fitted further."""
    return [
        fit_quietly(cls(**QUICK), GOOD, Y) for cls in (MLPClassifier, MLPRegressor)
    ]  # fmt: skip


@pytest.mark.parametrize("integer", [np.int32, np.int64])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "container", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array, sp.bsr_array]
)
def test_damaged_matrices_are_refused(container, damage, integer, models):
    for model in models:
        with pytest.raises(ValueError, match="X is a damaged sparse matrix"):
            model.predict(damaged(container, damage, integer))
    with pytest.raises(ValueError, match="X is a damaged sparse matrix"):
        MLPClassifier(**QUICK).fit(damaged(container, damage, integer), Y)


USES = {
    "predict_proba": lambda m, X: m.predict_proba(X),
    "predict_log_proba": lambda m, X: m.predict_log_proba(X),
    "score": lambda m, X: m.score(X, Y),
    "partial_fit": lambda m, X: m.partial_fit(X, Y),
    "warm-start": lambda m, X: MLPClassifier(**QUICK, warm_start=True).fit(X, Y),
    "eval_set": lambda m, X: MLPClassifier(**QUICK).fit(GOOD, Y, eval_set=(X, Y)),
    "check_gradient": lambda m, X: check_gradient(MLPClassifier(**QUICK), X, Y),
    "fit_many": lambda m, X: fit_many([MLPClassifier(**QUICK)], X, Y),
    "y": lambda m, X: MLPRegressor(**QUICK).fit(GOOD, X),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_wherever_a_sparse_matrix_is_taken(use, models):
    for damage in ("index-far-out", "starts-fall"):
        with pytest.raises(ValueError, match=r"[Xy] is a damaged sparse matrix \(csr\)"):
            use(models[0], damaged(sp.csr_matrix, damage))


def test_matrices_of_other_formats(models):
    def with_coordinate(axis, value):
        matrix = sp.coo_array(GOOD)
        coordinates = [places.copy() for places in matrix.coords]
        coordinates[axis][1] = value
        matrix.coords = tuple(coordinates)
        return matrix

    lists, pairs, short = sp.lil_array(GOOD), sp.dok_array(GOOD), sp.coo_matrix(GOOD)
    lists.rows[2], lists.data[2] = [0, N_COLUMNS], [1.0, 2.0]
    uneven = sp.lil_array(GOOD)
    uneven.rows[2], uneven.data[2] = [0, 1], [1.0]
    pairs._dict[(1, -1)] = 3.0
    short.data = short.data[:-1].copy()
    diagonals = sp.dia_array(GOOD)
    diagonals.offsets = diagonals.offsets[:-1]
    bad = [with_coordinate(axis, v) for axis in (0, 1) for v in (-1, N_ROWS, 2**30)]
    for matrix in (*bad, lists, uneven, pairs, short, diagonals):
        with pytest.raises(ValueError, match="X is a damaged sparse matrix"):
            models[0].predict(matrix)
    expected = models[0].predict_proba(GOOD)
    for kind in ("csr", "csc", "bsr", "coo", "lil", "dok", "dia"):
        np.testing.assert_array_equal(models[0].predict_proba(GOOD.asformat(kind)), expected)


def test_the_message_names_the_index(models):
    with pytest.raises(ValueError, match=r"the index 10 is not in \[0, 10\); build it anew"):
        models[0].predict(damaged(sp.csr_array, "index-one-too-large"))
    with pytest.raises(ValueError, match=r"the index -1 is not in \[0, 24\)"):
        models[0].predict(damaged(sp.csc_matrix, "index-negative"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_values_that_are_not_finite(kind, value, models):
    matrix = GOOD.copy()
    matrix.data[4] = value
    with pytest.raises(ValueError, match="NaN" if np.isnan(value) else "infinity"):
        models[0].predict(matrix.asformat(kind))


@pytest.mark.parametrize("integer", [np.int32, np.int64])
def test_repeated_unsorted_and_spare_entries_are_valid(integer, models):
    """Entries of the same place add up; room behind the last entry is not read."""
    indptr = np.array([0, 4, 4, 6], dtype=integer)
    indices = np.array([3, 1, 3, 0, 9, 9, 5, 5], dtype=integer)
    data = np.array([1.0, 2.0, 0.5, -1.0, 4.0, -4.0, 7.0, 7.0])
    matrix = sp.csr_matrix((3, N_COLUMNS))
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    dense = np.zeros((3, N_COLUMNS))
    dense[0, [3, 1, 0]] = 1.5, 2, -1
    for model in models:
        np.testing.assert_allclose(model.predict(matrix), model.predict(dense), atol=1e-12)
        again = matrix.copy()
        again.data, again.indices, again.indptr = data, indices, indptr
        model_of_rows = type(model)(**QUICK).set_params(batch_size=3)
        y = np.array([0, 1, 0])
        fit_quietly(model_of_rows, again, y)
        expected = fit_quietly(type(model)(**QUICK).set_params(batch_size=3), dense, y)
        np.testing.assert_allclose(model_of_rows.coefs_[0], expected.coefs_[0], atol=1e-12)
