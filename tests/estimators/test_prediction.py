"""Predictions: of what weights, in what type, and what cannot be computed."""

import copy
import gc
import pickle
import signal
import threading
import warnings
import weakref

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.neural_network
from helpers import fit_quietly, team_of
from sklearn.base import clone

import fastmlp
from fastmlp import DataWarning, MLPClassifier, MLPRegressor, check_gradient
from fastmlp.engines.cpu import inputs as kernel_inputs
from fastmlp.engines.cpu import prediction as in_place
from fastmlp.engines.cpu import threads
from fastmlp.estimators import prediction

RNG = np.random.RandomState(3)
X = RNG.normal(size=(60, 5))
LABELS = {"two": (X[:, 0] > 0).astype(int), "many": np.arange(60) % 3}
QUICK = {"hidden_layer_sizes": (9, 6), "max_iter": 3, "random_state": 0}


def pair(dtype=np.float64, y=LABELS["many"], name="MLPClassifier", **params):
    """Both classes with the same weights, which may be those of a user."""
    models = []
    for module in (sklearn.neural_network, fastmlp):
        model = getattr(module, name)(**(QUICK | params))
        models.append(fit_quietly(model, X.astype(dtype), y))
    theirs, ours = models
    ours.coefs_ = [w.copy() for w in theirs.coefs_]
    ours.intercepts_ = [b.copy() for b in theirs.intercepts_]
    return theirs, ours


@pytest.fixture
def model():
    return fit_quietly(MLPClassifier(**QUICK), X, LABELS["many"])


# ---- what is remembered ------------------------------------------------------------------


def test_changes_inside_of_arrays_are_seen(model):
    before = model.predict_proba(X)
    model.coefs_[0][:, 0] += 1
    model.intercepts_[-1][0] -= 5
    changed = model.predict_proba(X)
    assert (changed != before).all(axis=1).any()
    np.testing.assert_array_equal(changed, copy.deepcopy(model).predict_proba(X))
    for array in model.coefs_:
        array[:] = 0
    model.intercepts_[-1][:] = 0
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


def test_replaced_arrays_and_lists_are_seen(model):
    theirs, ours = pair()
    model.predict(X)
    model.coefs_[1] = ours.coefs_[1]
    model.coefs_[0], model.intercepts_ = ours.coefs_[0], list(ours.intercepts_)
    model.coefs_ = [*model.coefs_[:2], ours.coefs_[2]]
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-12)


def test_arrays_that_read_their_memory_in_another_way_are_seen(model):
    model.coefs_[1] = np.arange(54.0).reshape(9, 6) / 54
    before = model.predict_proba(X)
    swapped = model.coefs_[1]
    swapped.byteswap(inplace=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of newer versions of NumPy
        swapped.dtype = swapped.dtype.newbyteorder()
    np.testing.assert_array_equal(model.predict_proba(X), before)
    square = model.coefs_[1] = np.arange(54.0).reshape(9, 6)[:6].copy()
    model.coefs_[0], model.intercepts_[0] = model.coefs_[0][:, :6].copy(), np.zeros(6)
    before = model.predict_proba(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        square.strides = square.strides[::-1]
    transposed = model.predict_proba(X)
    assert (transposed != before).any()
    np.testing.assert_array_equal(transposed, copy.deepcopy(model).predict_proba(X))


def test_activations_that_are_set_after_the_fit_are_seen():
    theirs, ours = pair()
    ours.predict_proba(X)
    for activation in ("tanh", "identity", "logistic", "relu"):
        for estimator in (theirs, ours):
            estimator.set_params(activation=activation)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-12)
    names = ["relu", "tanh"]
    ours.set_params(activation=names)
    mixed = ours.predict_proba(X)
    names[0] = "tanh"
    assert (ours.predict_proba(X) != mixed).any()
    theirs.set_params(activation="relu").out_activation_ = "logistic"
    ours.set_params(activation="relu").out_activation_ = "logistic"
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"]
)
def test_copies_are_independent_and_hold_no_more_than_before(model, duplicate):
    before, size, attributes = model.predict_proba(X), len(pickle.dumps(model)), set(vars(model))
    twin = duplicate(model)
    np.testing.assert_array_equal(twin.predict_proba(X), before)
    twin.coefs_[0][:] = 0
    assert (twin.predict_proba(X) != before).any()
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert len(pickle.dumps(model)) == size and set(vars(model)) == attributes
    assert not hasattr(clone(model), "coefs_")


def test_a_shallow_copy_shares_its_arrays(model):
    twin = copy.copy(model)
    assert twin.coefs_[0] is model.coefs_[0]
    twin.predict(X)
    model.coefs_[0][:] = 0
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


def test_weights_in_mapped_files_are_not_copied(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert isinstance(mapped.coefs_[0], np.memmap) and not mapped.coefs_[0].flags.writeable
    np.testing.assert_array_equal(mapped.predict_proba(X), model.predict_proba(X))
    known = prediction._KNOWN[mapped].network
    mapped.predict(X[:1])
    assert prediction._KNOWN[mapped].network is known


def test_old_weights_are_freed_and_nothing_keeps_an_estimator_alive():
    model = fit_quietly(MLPClassifier(**QUICK), X, LABELS["many"])
    model.predict(X)
    old, estimator = weakref.ref(model.coefs_[0]), weakref.ref(model)
    fit_quietly(model, X, LABELS["many"])
    gc.collect()
    assert old() is None
    del model
    gc.collect()
    assert estimator() is None


def test_memory_for_many_rows_is_not_kept(model, monkeypatch):
    few = model.predict_proba(X)
    sizes = []
    monkeypatch.setattr(
        in_place._Room, "predict", lambda self, layers, rows: sizes.append(len(rows))
    )
    monkeypatch.setattr(in_place, "_MOST_KEPT", X.shape[0] * (5 + 3) - 1)
    np.testing.assert_array_equal(model.predict_proba(X), few)
    assert sizes == []


def test_no_rows_have_no_outputs(model):
    network = prediction.network_of(model, model.coefs_, model.intercepts_, model)[0]
    arrays = *model.coefs_, *model.intercepts_
    for rows in (X[:0], sp.csr_matrix(X[:0])):
        assert network.outputs(arrays, rows, 2).shape == (0, 3)


def test_training_goes_on_after_predictions(model):
    untouched = copy.deepcopy(model)
    model.predict(X[:1])
    for _ in range(2):
        model.partial_fit(X, LABELS["many"])
        untouched.partial_fit(X, LABELS["many"])
        np.testing.assert_array_equal(model.predict_proba(X), untouched.predict_proba(X))


def test_classes_of_users_without_a_hash():
    class Compared(MLPClassifier):
        def __eq__(self, other):
            return self is other

    model = fit_quietly(Compared(**QUICK), X, LABELS["two"])
    expected = fit_quietly(MLPClassifier(**QUICK), X, LABELS["two"])
    for _ in range(2):
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_threads_predict_while_another_one_fits(model):
    """Each prediction has the weights of one fit, or the weights and biases of two of them."""
    other = fit_quietly(MLPClassifier(**(QUICK | {"random_state": 1})), X, LABELS["many"])
    states = [(model.coefs_, model.intercepts_), (other.coefs_, other.intercepts_)]
    expected = []
    for coefs, _ in states:
        for _, intercepts in states:
            model.coefs_, model.intercepts_ = coefs, intercepts
            expected.append(model.predict_proba(X).tobytes())
    found, stop = [], threading.Event()

    def predict():
        while not stop.is_set():
            found.append(model.predict_proba(X).tobytes())

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        model.coefs_, model.intercepts_ = states[number % 2]
    stop.set()
    for thread in threads:
        thread.join()
    assert found and set(found) <= set(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", [(1,), (7,), (16, 3), (33, 20), (20, 1024)])
@pytest.mark.parametrize("sparse", [False, True])
def test_bits_do_not_depend_on_the_number_of_rows_or_on_where_weights_lie(
    dtype, units, sparse, monkeypatch
):
    rows = np.tile(X.astype(dtype), (10, 1))
    y = np.tile(LABELS["many"], 10)
    model = fit_quietly(MLPClassifier(units, max_iter=1, random_state=0), rows, y)
    rows = sp.csr_matrix(rows) if sparse else rows
    with monkeypatch.context() as patch:
        patch.setattr(in_place, "_MANY_ROWS", 480)
        patch.setattr(in_place, "_LARGE", 0)
        assert rows.shape[0] > in_place._MANY_ROWS
        expected = model.predict_proba(rows)  # in panels
    for n_rows in (1, 2, 13, 100, 480, rows.shape[0]):
        np.testing.assert_array_equal(model.predict_proba(rows[:n_rows]), expected[:n_rows])
    # Where a page ends behind each array, all of them are copied.
    monkeypatch.setattr(in_place, "_PAGE", 1)
    copied = copy.deepcopy(model)
    for n_rows in (1, 13, 100):
        np.testing.assert_array_equal(copied.predict_proba(rows[:n_rows]), expected[:n_rows])
        assert prediction._KNOWN[copied].network._copied
        copied.coefs_[0][0, 0] += 1
        assert (copied.predict_proba(rows[:100]) != expected[:100]).any()
        copied.coefs_[0][0, 0] = model.coefs_[0][0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [3, 16, 500, 1024])
def test_bits_do_not_depend_on_where_rows_lie(dtype, n_features):
    """Rows are read where they lie, or copied where their distance or place does not suit."""
    draw = np.random.RandomState(0)
    rows = draw.normal(size=(70, n_features)).astype(dtype)
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=1, random_state=0)
    fit_quietly(model, rows, rows[:, 0].astype(float))
    expected = np.concatenate([model.predict(row) for row in rows[:, None]])
    odd = np.frombuffer(b"x" + rows.tobytes(), dtype, rows.size, 1).reshape(rows.shape)
    assert not odd.flags.aligned
    for n_threads in (1, 2):
        with team_of(n_threads):
            for same in (rows, odd, np.asfortranarray(rows), rows[::-1][::-1]):
                np.testing.assert_array_equal(model.predict(same), expected)


def test_what_scikit_learn_would_refuse_is_refused():
    model = fit_quietly(MLPClassifier(**QUICK), X, LABELS["two"])
    bad = X[:2].copy()
    bad[1, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        model.predict(bad)
    with pytest.raises(ValueError, match="X has 4 features"):
        model.predict(X[:, :4])
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.predict(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(X[:0])
    named = fit_quietly(MLPClassifier(**QUICK), pd.DataFrame(X, columns=[*"abcde"]), LABELS["two"])
    with pytest.warns(UserWarning, match="feature names"):
        named.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        named.predict(pd.DataFrame(X, columns=[*"abced"]))


# ---- weights of users --------------------------------------------------------------------

CONVERSIONS = {
    "integers": lambda w: (w * 10).astype(int),
    "small-integers": lambda w: (w * 10).astype(np.int8),
    "float16": lambda w: w.astype(np.float16),
    "long-double": lambda w: w.astype(np.longdouble),
    "byte-order": lambda w: w.astype(w.dtype.newbyteorder()),
    "strided": lambda w: np.repeat(w, 2, axis=0)[::2],
    "fortran": np.asfortranarray,
    "unaligned": lambda w: np.frombuffer(b"x" + w.tobytes(), w.dtype, offset=1).reshape(w.shape),
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_of_any_real_type(convert, dtype):
    theirs, ours = pair(dtype)
    ours.predict(X)
    for model in (theirs, ours):
        model.coefs_ = [convert(w) for w in model.coefs_]
        model.intercepts_ = [convert(b) for b in model.intercepts_]
    for rows in (X, X.astype(np.float32)):
        expected, found = theirs.predict_proba(rows), ours.predict_proba(rows)
        assert found.dtype in (expected.dtype, np.float64)
        atol = 1e-6 if np.float32 in (dtype, rows.dtype) else 1e-12
        np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=atol)
    ours.partial_fit(X, LABELS["many"]).predict(X)


def test_lists_are_weights(model):
    expected = model.predict_proba(X)
    model.coefs_ = [w.tolist() for w in model.coefs_]
    model.intercepts_ = [b.tolist() for b in model.intercepts_]
    np.testing.assert_array_equal(model.predict_proba(X), expected)


TAMPERED = {
    "complex": (lambda m: m.coefs_.__setitem__(0, m.coefs_[0] + 1j), r"coefs_\[0\] is complex"),
    "text": (lambda m: m.coefs_.__setitem__(1, np.full((9, 6), "a")), r"coefs_\[1\] is of type"),
    "transposed": (lambda m: m.coefs_.__setitem__(1, m.coefs_[1].T), r"coefs_\[1\] has shape"),
    "reshaped": (
        lambda m: m.coefs_.__setitem__(1, m.coefs_[1].reshape(6, 9)), r"coefs_\[1\] has shape"
    ),
    "bias": (lambda m: m.intercepts_.__setitem__(2, np.zeros(4)), r"intercepts_\[2\] \(4,\)"),
    "one-missing": (lambda m: m.coefs_.pop(), "coefs_ has 2 arrays and intercepts_ 3"),
    "none": (lambda m: setattr(m, "coefs_", []), "coefs_ has 0 arrays"),
    "none-of-a-layer": (lambda m: m.coefs_.__setitem__(2, None), r"coefs_\[2\] has shape \(\)"),
    "inputs": (
        lambda m: m.coefs_.__setitem__(0, np.ones((4, 9))), r"coefs_\[0\] .* n_features_in_ is 5"
    ),
    "outputs": (
        lambda m: (
            m.coefs_.__setitem__(2, np.ones((6, 2))), m.intercepts_.__setitem__(2, np.ones(2))
        ),
        r"coefs_\[2\] .* n_outputs_ is 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
def test_weights_that_are_no_network(model, tamper, message):
    model.predict(X)
    tamper(model)
    for rows in (X[:1], X):
        with pytest.raises(ValueError, match=message):
            model.predict_proba(rows)
    with pytest.raises(ValueError, match=r"coefs_|features|outputs"):
        check_gradient(model, X, LABELS["many"])


# ---- what is too large -------------------------------------------------------------------

BIG = {
    "1e39": lambda x: x * 1e39,
    "negative": lambda x: -np.abs(x) * 1e39,
    "1e300": lambda x: x * 1e300,
    "one-row-of-three": lambda x: x * np.array([[1.0], [1e39], [1.0]]),
    "overflows-inside": lambda x: x * 1e38,
    "objects": lambda x: (x * 1e39).astype(object),
    "long-double": lambda x: x.astype(np.longdouble) * 1e39,
    "sparse": lambda x: sp.csr_matrix(x * 1e39),
    "sparse-columns": lambda x: sp.csc_array(x * 1e39),
    "frame": lambda x: pd.DataFrame(x * 1e39),
}


@pytest.mark.parametrize("enlarge", BIG.values(), ids=BIG)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_a_network_of_float32_predicts_what_float32_cannot_hold(enlarge, activation, y):
    theirs, ours = pair(np.float32, y, activation=activation)
    rows = enlarge(X[:3])
    expected, found = theirs.predict_proba(rows), ours.predict_proba(rows)
    assert np.isfinite(found).all() and found.dtype == expected.dtype
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1).astype(float), 1, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))
    assert ours.score(rows, y[:3]) == theirs.score(rows, y[:3])


def test_a_large_row_does_not_change_the_bits_of_others():
    _, ours = pair(np.float32)
    expected = ours.predict_proba(X)
    rows = X.copy()
    rows[7] *= 1e39
    found = ours.predict_proba(rows)
    others = np.arange(60) != 7
    np.testing.assert_array_equal(found[others], expected[others])
    np.testing.assert_array_equal(found[7], ours.predict_proba(rows[7:8])[0])


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint64])
def test_other_types_of_rows(dtype):
    theirs, ours = pair(np.float32, activation="tanh")
    rows = (X[:4] * 3).astype(dtype)
    if dtype != np.float16:
        rows[0] = np.iinfo(dtype).max
    expected, found = theirs.predict_proba(rows), ours.predict_proba(rows)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_values_beyond_float64_are_an_error():
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("long double is float64 here")
    model = fit_quietly(MLPClassifier(**QUICK), X, LABELS["two"])
    with pytest.raises(ValueError, match=r"values up to 1\.e\+400, beyond the range of float64"):
        model.predict(np.full((2, 5), np.longdouble("1e400")))


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_finite_or_an_error(y, dtype):
    model = fit_quietly(MLPClassifier(**QUICK), X.astype(dtype), y)
    for w in model.coefs_:
        w *= 100
    rows = np.vstack([X[:2], X[2:4] * 1e307])
    with pytest.raises(ValueError, match=r"of 4 rows are not finite.*scale X"):
        model.predict(rows)
    assert np.isfinite(model.predict_proba(rows[:2])).all()
    model.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="coefs_ and intercepts_ hold values"):
        model.predict_proba(rows[:2])


def test_values_that_are_not_finite_are_told():
    theirs, ours = pair(y=X[:, 0], name="MLPRegressor")
    rows = np.vstack([X[:3], X[3:6] * 1e308])
    rows[~np.isfinite(rows)] = 1e308
    with np.errstate(all="ignore"):
        for model in (theirs, ours):
            model.coefs_[0][:] = np.abs(model.coefs_[0]) + 1
            rows = np.abs(rows)
        expected = theirs.predict(rows)
    assert not np.isfinite(expected).all()
    with pytest.warns(DataWarning, match="3 of 6 rows are not finite, of row 3 first"):
        found = ours.predict(rows)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    np.testing.assert_allclose(found[:3], expected[:3])


SINGLE, TARGETS = X.astype(np.float32), X[:, 1]
FITS = {
    "partial_fit": (lambda m: m.partial_fit(X * 1e39, TARGETS), r"X has values up to \d\.\d+e\+39"),
    "partial_fit-sparse": (
        lambda m: m.partial_fit(sp.csr_matrix(X * 1e39), TARGETS), "X has values up to"
    ),
    "warm-start": (
        lambda m: m.set_params(warm_start=True).fit(X * 1e39, TARGETS), "X has values up to"
    ),
    "eval_set": (
        lambda m: m.fit(SINGLE, TARGETS, eval_set=(X * 1e39, TARGETS)), "eval_set .* X has values"
    ),
    "eval_set-y": (
        lambda m: m.fit(SINGLE, TARGETS, eval_set=(X, TARGETS * 1e39)), "eval_set .* y has values"
    ),
    "y": (lambda m: m.fit(SINGLE, TARGETS * 1e39), "y has values up to .* float32"),
    "epsilon": (
        lambda m: m.set_params(epsilon=1e-46).fit(SINGLE, TARGETS), "epsilon=1e-46 is 0 in float32"
    ),
    "alpha": (lambda m: m.set_params(alpha=1e39).fit(SINGLE, TARGETS), r"alpha=1e\+39 is infinite"),
    "weights": (
        lambda m: m.fit(SINGLE, TARGETS, np.full(60, 1e38)), r"sample_weight .* 1e\+38, whose sum"
    ),
    "weights-float64": (
        lambda m: m.fit(X, TARGETS, np.full(60, 1e308)), r"sample_weight .* range of float64;"
    ),
    "tiny-weights": (
        lambda m: m.fit(SINGLE, TARGETS, np.full(60, 1e-45)), "sample_weight .* and less, below"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fit", "message"), FITS.values(), ids=FITS)
def test_a_fit_names_what_its_type_cannot_hold(fit, message):
    model = fit_quietly(MLPRegressor(**QUICK), SINGLE, TARGETS)
    before = model.predict(SINGLE)
    with pytest.raises(ValueError, match=message) as caught:
        fit(model)
    assert type(caught.value) is ValueError
    np.testing.assert_array_equal(model.predict(SINGLE), before)


def test_what_float64_or_the_solver_can_hold_is_no_error():
    fit_quietly(MLPRegressor(**QUICK, epsilon=1e-46), X, TARGETS)
    fit_quietly(MLPRegressor(**QUICK, epsilon=1e-46, solver="sgd"), SINGLE, TARGETS)
    fit_quietly(MLPRegressor(**QUICK), SINGLE, TARGETS, np.full(60, 1e36))
    weights = np.r_[np.full(59, 1.0), 1e-60]
    fit_quietly(MLPRegressor(**QUICK), SINGLE, TARGETS, weights)


# ---- interrupts --------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_rows", [50, 1000])
def test_a_long_prediction_is_handed_over_in_parts(model, sparse, n_rows, monkeypatch):
    rows = np.resize(X, (n_rows, 5))
    rows = sp.csr_matrix(rows) if sparse else rows
    expected = model.predict_proba(rows)
    calls = []
    run = threads.Team.run

    def counted(self, *args, **kwargs):
        calls.append(1)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(threads.Team, "run", counted)
    monkeypatch.setattr(in_place, "_PIECE_MULTIPLY_ADDS", 1)
    monkeypatch.setattr(in_place.at, "_BLOCK_BYTES", 1)
    in_place.at.prediction_layout.cache_clear()
    np.testing.assert_array_equal(model.predict_proba(rows), expected)
    in_place.at.prediction_layout.cache_clear()
    assert len(calls) == -(-n_rows // (4 * in_place.at.TILE_ROWS))


def test_no_threads_start_without_work(model, monkeypatch):
    """Threads take blocks of rows, and a few rows are one block."""
    sizes = []
    run = threads.Team.run

    def counted(self, *args, n_threads, **kwargs):
        sizes.append(n_threads)
        return run(self, *args, n_threads=n_threads, **kwargs)

    monkeypatch.setattr(threads.Team, "run", counted)
    block = in_place.at.block_rows((5, 9, 6, 3), 8)
    with team_of(2):
        for n_rows in (1, block, block + 1, 5 * block):
            model.predict(np.resize(X, (n_rows, 5)))
    assert sizes == [1, 1, 2, 2]


def test_an_interrupt_acts_between_the_parts(model, monkeypatch):
    calls = []
    run = threads.Team.run

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(threads.Team, "run", interrupted)
    monkeypatch.setattr(in_place, "_PIECE_MULTIPLY_ADDS", 1)
    with pytest.raises(KeyboardInterrupt):
        model.predict_proba(np.resize(X, (5000, 5)))
    assert len(calls) == 2
    monkeypatch.undo()
    assert model.predict(X).shape == (60,)


# ---- sparse targets ----------------------------------------------------------------------


def test_sparse_targets_of_a_regression():
    Y = X[:, :2] * (X[:, :2] > 0)
    expected = fit_quietly(MLPRegressor(**QUICK), X, Y).predict(X)
    for container in (sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array):
        model = fit_quietly(MLPRegressor(**QUICK), X, container(Y))
        np.testing.assert_array_equal(model.predict(X), expected)
        model.partial_fit(X, container(Y))
    column = sp.csr_matrix(Y[:, :1])
    for model in (MLPRegressor(**QUICK), sklearn.neural_network.MLPRegressor(**QUICK)):
        with pytest.raises(TypeError, match="Sparse data was passed for y"):
            model.fit(X, column)
    model = fit_quietly(MLPRegressor(**QUICK), X, sp.coo_array(Y[:, 0]))
    expected = fit_quietly(MLPRegressor(**QUICK), X, Y[:, 0])
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_kernels_get_zeroed_memory_only_where_they_need_it():
    zeros = kernel_inputs.aligned(100, np.dtype(np.float32))
    assert not zeros.any() and zeros.ctypes.data % 64 == 0
    empty = kernel_inputs.aligned(100, np.dtype(np.float64), np.empty)
    assert empty.shape == (100,) and empty.ctypes.data % 64 == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unchecked_rows_are_answered(dtype):
    """Where scikit-learn is told to assume that all is finite, nothing is said of what is not."""
    theirs, ours = pair(dtype)
    for rows in (np.where(np.arange(5) == 1, np.nan, X[:4]), sp.csr_array(X[:4] * np.nan)):
        with sklearn.config_context(assume_finite=True):
            found, expected = (m.predict_proba(rows.astype(dtype)) for m in (ours, theirs))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    with sklearn.config_context(assume_finite=True), pytest.raises(ValueError, match="scale X"):
        ours.coefs_[0][:] *= 1000
        ours.predict(X[:4] * 1e307)
