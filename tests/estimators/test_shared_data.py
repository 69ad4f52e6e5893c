"""The memory of many fits of the same data: what they make of it is there once."""

import gc
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from helpers import flat
from sklearn.base import clone

from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp.engines.cpu import engine
from fastmlp.engines.engine import SomeRows
from fastmlp.engines.sharing import SharedArrays, shared, sharing
from fastmlp.estimators.fit_many import _Fits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20_000, 40)).astype(np.float32)
LABELS = (X[:, :5] @ RNG.normal(size=(5, 4))).argmax(axis=1)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"max_iter": 1, "diagnose": False, "batch_size": 500}


@pytest.fixture
def at_once(monkeypatch):
    """Let no engine open before those of all fits do, so that their data are alive together."""

    def fit_at_once(models, *args, when_open=None, **kwargs):
        barrier, seen = threading.Barrier(len(models), action=when_open), []

        class Waiting(engine.CpuEngine):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                seen.append(self)
                barrier.wait(60)

        with monkeypatch.context() as patch:
            patch.setattr(engine, "CpuEngine", Waiting)
            patch.setattr("fastmlp.estimators.fit_many.cpu_threads", lambda n_jobs: len(models))
            fit_many(models, *args, **kwargs)
        return seen

    return fit_at_once


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"held_out": True}])
def test_fits_at_once_need_no_copies_of_the_rows(options, at_once):
    """Memory is compared while every fit waits, since the moments of others come by chance."""

    def bytes_of(n_models):
        """What fits have when all engines are open, and their most until the end."""
        of_each = {k: v for k, v in options.items() if k != "held_out"}
        models = [MLPClassifier((4,), random_state=s, **QUICK, **of_each) for s in range(n_models)]
        held = None
        if "held_out" in options:
            held = [np.flatnonzero(np.arange(len(X)) % 2 == s % 2) for s in range(n_models)]
        found = []

        def when_open():
            gc.collect()
            found.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.reset_peak()

        tracemalloc.start()
        try:
            at_once(models, X, LABELS, held_out=held, when_open=when_open)
            return *found, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    bytes_of(1)
    one, most_of_one = bytes_of(1)
    five, _ = bytes_of(5)
    # The numbers of rows in several orders and a few bytes a row are each fit's own.
    assert (five - one) / 4 < 0.4 * X.nbytes
    assert most_of_one - one < 0.4 * X.nbytes


@pytest.mark.parametrize(
    "rows, labels",
    [
        (X, LABELS),
        (X[::-1].astype(np.float64), LABELS.astype(str)),
        (np.asfortranarray(X), LABELS),
        (pd.DataFrame(X.astype(int)).rename(columns=str), LABELS),
        (X, X[:, 0].astype(np.float64)),
    ],
    ids=["arrays", "others", "columns", "frame", "numbers"],
)
def test_engines_have_the_same_rows_and_targets(rows, labels, at_once):
    cls = MLPRegressor if labels.dtype.kind == "f" else MLPClassifier
    models = [cls(hidden_layer_sizes=(4,), random_state=s, **QUICK) for s in range(3)]
    weight = np.linspace(1, 2, len(rows))
    for names in ("_X", "_Y", "_sample_weight"):
        engines = at_once([clone(model) for model in models], rows, labels, weight)
        first, *others = (np.asarray(vars(e)[names][0] if names == "_X" else vars(e)[names])
                          for e in engines)  # fmt: skip
        assert all(np.shares_memory(first, other) for other in others)
    fit_many(models, rows, labels, weight)
    alone = clone(models[1]).fit(rows, labels, weight)
    np.testing.assert_array_equal(flat(models[1]), flat(alone))


def test_targets_that_differ_are_not_shared(at_once):
    models = [MLPClassifier((4,), label_smoothing=s, random_state=0, **QUICK) for s in (0.0, 0.1)]
    at_once(models, X, LABELS)
    for model in models:
        np.testing.assert_array_equal(flat(model), flat(clone(model).fit(X, LABELS)))


def test_arrays_are_shared_as_long_as_one_fit_has_them():
    arrays = SharedArrays()
    with sharing(arrays):
        first = shared(lambda: np.arange(3.0))
        assert shared(lambda: np.arange(3.0)) is first
        assert shared(lambda: np.arange(4.0)) is not first
        assert shared(lambda: np.arange(3)) is not first
        pair = shared(lambda: (np.arange(3.0), None))
        assert pair[0] is first and pair[1] is None
        text = np.array(["a", "b"])
        assert shared(lambda: text) is text
        assert shared(text.copy) is not text
        del first, pair
        assert len([known for known in arrays._known if known() is not None]) < 4
    again = np.arange(3.0)
    assert shared(lambda: again) is again


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("numbers", [[5, 3, 3, 99], range(0, 700, 2), range(700)[::-1]])
def test_rows_are_predicted_where_they_lie(numbers, is_sparse, monkeypatch):
    """The same bits as for a copy, in one piece and in several."""
    rows = X[:700] * (X[:700] > 0)
    model = MLPClassifier((33, 20), max_iter=1, random_state=0).fit(rows, LABELS[:700])
    rows = sp.csr_array(rows) if is_sparse else rows
    found = []

    class Predicting(engine.CpuEngine):
        def run_epochs(self, orders, learning_rate):
            losses = super().run_epochs(orders, learning_rate)
            some = SomeRows(rows, np.array(numbers))
            assert some.shape == (len(numbers), 40) and some.size == 40 * len(numbers)
            for piece in (10**10, 10**5):
                monkeypatch.setattr("fastmlp.engines.cpu.prediction._PIECE_MULTIPLY_ADDS", piece)
                self._predicted = None
                found.append((self.outputs(some), self.outputs(some[:])))
            return losses

    monkeypatch.setattr(engine, "CpuEngine", Predicting)
    monkeypatch.setattr(engine, "_MOST_TOGETHER", 1)
    model.set_params(max_iter=2, warm_start=True).fit(rows, LABELS[:700])
    assert len(found) == 4
    for by_number, copied in found:
        np.testing.assert_array_equal(by_number, copied)


def test_the_longest_fits_begin_first(monkeypatch):
    begun = []

    def noting(self, estimator, slot=None):
        begun.append(estimator)

    monkeypatch.setattr(_Fits, "_fit", noting)
    models = [
        MLPClassifier((4,), max_iter=3),
        MLPClassifier((30, 30), max_iter=3),
        MLPClassifier((4,), max_iter=20),
        MLPClassifier((4,), max_iter=3, alpha=1),
        MLPClassifier(("many",), max_iter=100),
    ]
    fit_many(models, X, LABELS, n_jobs=1)
    assert begun == [models[i] for i in (1, 2, 0, 3, 4)]
    begun.clear()
    fit_many(models, X, LABELS, n_jobs=1, should_stop=lambda: False)
    assert begun == models
