"""Fits and predictions in several threads at once: the same numbers as one after the other."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from helpers import flat

from fastmlp import MLPClassifier, MLPRegressor, train_table

# Threads share the filters of warnings, so that each fit cannot set its own.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(8)
X = RNG.randn(120, 5)
LABELS = np.arange(120) % 3
NUMBERS = X[:, 0] * X[:, 1]
SMALL = {"hidden_layer_sizes": (7,), "max_iter": 4, "diagnose": False}


@pytest.fixture(autouse=True)
def frequent_switches():
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def fits(seed):
    """Fits of all kinds, which are different for each seed."""
    options = {**SMALL, "random_state": seed}
    seen = []
    models = [
        (MLPClassifier(**options), LABELS),
        (MLPClassifier(early_stopping=True, **options), LABELS),
        (MLPRegressor(solver="lbfgs", **options), NUMBERS),
        (MLPRegressor(solver="sgd", dropout=0.2, swa_start=2, **options), NUMBERS),
    ]
    for model, y in models:
        model.fit(X, y, callback=lambda epoch, model=model: seen.append(flat(model)))
        model.set_params(warm_start=True).fit(X, y)
    return [flat(model) for model, _ in models] + seen


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)


def test_mixed_fits_and_predictions_of_a_shared_model():
    shared = MLPClassifier(random_state=0, **SMALL).fit(X, LABELS)
    probabilities = shared.predict_proba(X)
    expected = [fits(seed) for seed in range(6)]

    def predictions(_):
        return [shared.predict_proba(X) for _ in range(20)]

    with ThreadPoolExecutor(6) as pool:
        fitted, predicted = pool.map(fits, range(6)), pool.map(predictions, range(6))
        for found, of_one in zip(fitted, expected, strict=True):
            assert_same(found, of_one)
        for several in predicted:
            assert_same(several, [probabilities] * 20)


@pytest.mark.parametrize("with_callback", [False, True])
def test_predictions_beside_training_are_of_a_whole_model(with_callback):
    """Each is the one before or after some call or epoch, and each thread goes forward."""
    batches = [slice(start, start + 30) for start in range(0, 120, 30)] * 5

    def train(model, keep):
        """Train as one thread does, and keep the probabilities after each step."""
        for number, batch in enumerate(batches):
            model.partial_fit(X[batch], LABELS[batch])
            keep(model)
            if number % 5 == 4:
                callback = None
                if with_callback:
                    callback = lambda epoch: keep(model) is False  # noqa: E731
                model.set_params(random_state=number).fit(X, LABELS, callback=callback)
                keep(model)

    def made():
        return MLPClassifier(random_state=0, **SMALL).partial_fit(X, LABELS, classes=[0, 1, 2])

    model = made()
    states = [model.predict_proba(X).tobytes()]
    train(model, lambda model: states.append(model.predict_proba(X).tobytes()))
    order = {state: number for number, state in enumerate(states)}
    assert len(order) > 24

    model = made()
    is_over = threading.Event()

    def read():
        found = [model.predict_proba(X).tobytes()]
        while not is_over.is_set():
            found.append(model.predict_proba(X).tobytes())
        return found

    def write():
        try:
            train(model, lambda model: model.predict_proba(X))
        finally:
            is_over.set()

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        pool.submit(write).result()
    for reader in readers:
        numbers = [order[state] for state in reader.result()]
        assert numbers == sorted(numbers)


def test_tables_in_several_threads_keep_their_warnings_apart(recwarn):
    """What one fit says of itself is not what another one does."""
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": NUMBERS})

    def trained(n_epochs):
        model = train_table(frame, max_iter=n_epochs, hidden_layer_sizes=(4,), tol=1e9)
        return model.report_["converged"], model.report_["epochs"], flat(model.estimator_)

    limits = [3, 40] * 4
    expected = [trained(limit) for limit in limits]
    assert [converged for converged, _, _ in expected] == [False, True] * 4
    with ThreadPoolExecutor(4) as pool:
        for found, of_one in zip(pool.map(trained, limits), expected, strict=True):
            assert found[:2] == of_one[:2] and np.array_equal(found[2], of_one[2])
    assert not recwarn.list
