"""Predictions of few rows, for which networks of the same layout share what has been prepared."""

import threading

import numpy as np
import pytest
from helpers import fit_quietly
from sklearn.preprocessing import LabelBinarizer

from fastmlp import MLPClassifier
from fastmlp.engines.cpu import prediction as in_place
from fastmlp.estimators import prediction
from fastmlp.estimators.class_targets import decode

X = np.random.RandomState(5).normal(size=(90, 5))
LABELS = np.arange(90) % 3


def networks(n, **params):
    """Networks of one layout, of which no array ends at the end of a page."""
    quick = {"hidden_layer_sizes": (11, 6), "max_iter": 2} | params
    found = []
    for seed in range(n):
        model = fit_quietly(MLPClassifier(random_state=seed, **quick), X, LABELS)
        model.predict(X[:1])
        while prediction._KNOWN[model].network._copied:
            # They lie elsewhere as long as the former ones are alive.
            found.append((model.coefs_, model.intercepts_))
            model.coefs_ = [w.copy() for w in model.coefs_]
            model.intercepts_ = [b.copy() for b in model.intercepts_]
            model.predict(X[:1])
        found.append(model)
    return [model for model in found if isinstance(model, MLPClassifier)]


def test_nothing_is_prepared_again(monkeypatch):
    first, second = networks(2)
    expected, before = second.predict_proba(X), first.predict_proba(X)

    def refuse(*args):
        raise AssertionError("a job was prepared again")

    monkeypatch.setattr(in_place, "describe", refuse)
    for n_rows in (90, 1, 2, 89):
        np.testing.assert_array_equal(second.predict_proba(X[:n_rows]), expected[:n_rows])
    first.coefs_[0][:, 0] += 1
    assert (first.predict_proba(X) != before).any()


def test_outputs_belong_to_the_caller():
    first, second = networks(2)
    outputs = [model.predict_proba(X[:4]) for model in (first, second, first)]
    np.testing.assert_array_equal(outputs[0], outputs[2])
    assert (outputs[0] != outputs[1]).all(axis=1).any()
    outputs[0][:] = 7
    np.testing.assert_array_equal(first.predict_proba(X[:4]), outputs[2])


def test_rows_of_any_form_give_the_same_bits():
    model = networks(1)[0]
    rows = X.round(2).astype(np.float32)
    expected = model.predict_proba(rows.astype(np.float64))
    kept = rows.astype(np.float64)
    kept.flags.writeable = False
    for given in (rows, np.asfortranarray(kept), kept, np.repeat(kept, 2, axis=0)[::2]):
        np.testing.assert_array_equal(model.predict_proba(given), expected)


def test_threads_that_share_a_layout_do_not_share_a_room():
    models = networks(4)
    expected = [[m.predict_proba(X[:n]).tobytes() for n in (1, 5, 90)] for m in models]
    wrong = []

    def predict(number):
        for _ in range(300):
            found = [models[number].predict_proba(X[:n]).tobytes() for n in (1, 5, 90)]
            if found != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_room_that_was_interrupted_is_not_used_again(monkeypatch):
    model = networks(1, hidden_layer_sizes=(13,))[0]
    expected, rooms = model.predict_proba(X), prediction._KNOWN[model].network._few[0]
    assert len(rooms) == 1

    def interrupt(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(in_place.Entry, "__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.predict(X)
    assert not rooms
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize(
    "y",
    [
        ["no", "yes"],
        [3, 1, 2],
        [True, False],
        ["only"],
        [[0, 1], [1, 1]],
        np.array(["a", 2.5, "b"], dtype=object).astype(str),
    ],
    ids=["two", "three", "bool", "one", "multilabel", "text"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_those_of_scikit_learns_binarizer(y, dtype):
    binarizer = LabelBinarizer().fit(y)
    chance = np.random.RandomState(0)
    outputs = chance.randint(0, 3, binarizer.transform(y).shape).repeat(9, axis=0) / 2  # with ties
    outputs = outputs.astype(dtype)
    given = outputs.ravel() if outputs.shape[1] == 1 else outputs
    expected, found = binarizer.inverse_transform(given), decode(binarizer, outputs)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype and found.shape == expected.shape
