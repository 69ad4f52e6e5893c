"""Checks of small and plain data: a shorter way than scikit-learn's, with the same results."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines.cpu import prediction
from fastmlp.estimators import inputs
from fastmlp.estimators.class_targets import _fitted_binarizer, accuracy
from fastmlp.estimators.random_states import random_state_of
from fastmlp.network import inspection
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import initialise, views

X = np.random.RandomState(0).normal(size=(30, 3))
Y = np.arange(30) % 3


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        ({"max_iter": 1}, {"max_iter": 1.0}),
        ({"max_iter": 1}, {"max_iter": True}),
        ({"early_stopping": False}, {"early_stopping": 0.0}),
        ({"n_iter_no_change": 1}, {"n_iter_no_change": 1.0}),
        ({"alpha": 0.0}, {"alpha": -1.0}),
        ({"alpha": 0.0}, {"alpha": float("nan")}),
        ({"activation": "relu"}, {"activation": "unknown"}),
    ],
)
def test_a_value_is_no_more_valid_after_one_that_equals_it(valid, invalid):
    fit_quietly(MLPClassifier((2,), **{"max_iter": 1, **valid}), X, Y)
    model = MLPClassifier((2,), **{"max_iter": 1, **invalid})
    try:
        model._validate_params()
    except ValueError as error:
        expected = str(error)
    else:
        fit_quietly(model, X, Y)  # scikit-learn takes it
        return
    with pytest.raises(ValueError) as caught:
        model.fit(X, Y)
    assert str(caught.value) == expected


def test_a_subclass_has_constraints_of_its_own():
    class Derived(MLPClassifier):
        _parameter_constraints = {"max_iter": [str]}  # noqa: RUF012

        def __init__(self, max_iter="many"):
            super().__init__(max_iter=max_iter)

    fit_quietly(MLPClassifier((2,), max_iter=1), X, Y)
    assert Derived().get_params() == {"max_iter": "many"}
    with pytest.raises(ValueError, match="'max_iter' parameter of Derived must be"):
        Derived(max_iter=1).fit(X, Y)
    assert MLPClassifier(max_iter=1).get_params()["max_iter"] == 1


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (X[:, :2].T, Y),
        (np.where(X > 1, np.nan, X), Y),
        (np.where(X > 1, np.inf, X), Y),
        (X, np.where(Y > 1, np.nan, Y)),
        (X, X[:, 0]),
        (X[0], Y),
        (X[:0], Y[:0]),
        (X[:, :0], Y),
        (X + 1j, Y),
    ],
)
def test_data_that_cannot_be_used_have_the_errors_of_scikit_learn(rows, labels, monkeypatch):
    errors = []
    for _ in range(2):
        with pytest.raises(ValueError) as error:
            MLPClassifier((2,), max_iter=1).fit(rows, labels)
        errors.append(str(error.value))
        monkeypatch.setattr(inputs, "_is_plain_matrix", lambda X: False)
    assert errors[0] == errors[1]


def test_a_fit_to_an_array_forgets_the_names_of_a_data_frame():
    model = fit_quietly(MLPClassifier((2,), max_iter=1), pd.DataFrame(X, columns=[*"abc"]), Y)
    assert hasattr(model, "feature_names_in_")
    fit_quietly(model, X[:, :2].copy(), Y)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 2


def test_partial_fit_compares_features_with_those_of_before():
    model = MLPRegressor(hidden_layer_sizes=(2,)).partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match="2 features"):
        model.partial_fit(X[:, :2].copy(), X[:, 0])
    named = pd.DataFrame(X, columns=[*"abc"])
    model = MLPRegressor(hidden_layer_sizes=(2,)).partial_fit(named, X[:, 0])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.partial_fit(X, X[:, 0])


@pytest.mark.parametrize("n_classes", [1, 2, 4])
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", ">i4", "i8", "f4", "f8", "f2", "U3"])
def test_labels_are_learned_as_by_scikit_learn(n_classes, dtype):
    y = (np.arange(12) % n_classes).astype(dtype)
    ours, theirs = _fitted_binarizer(y), LabelBinarizer().fit(y)
    assert vars(ours).keys() == vars(theirs).keys()
    assert (ours.y_type_, ours.sparse_input_) == (theirs.y_type_, theirs.sparse_input_)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.classes_.dtype == theirs.classes_.dtype


@pytest.mark.parametrize("y", [[0.5, 1.0], [np.nan, 1.0], [np.inf, 0.0], [[1, 2], [3, 4]]])
def test_targets_that_are_no_labels_have_the_errors_of_scikit_learn(y):
    y = np.array(y)
    errors = []
    for learn in (_fitted_binarizer, LabelBinarizer().fit):
        with pytest.raises(ValueError) as error, np.errstate(invalid="ignore"):
            learn(y)
        errors.append(str(error.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("seed", [0, 7, np.int64(3), 2**32 - 1])
def test_a_seed_gives_the_generator_of_numpy(seed):
    ours, numpys = random_state_of(seed), np.random.RandomState(seed)
    saved = pickle.dumps(ours)
    assert b"fastmlp" not in saved
    for generator in (ours, pickle.loads(saved)):
        name, keys, *rest = generator.get_state()
        expected_name, expected_keys, *expected = numpys.get_state()
        assert (name, rest) == (expected_name, expected)
        np.testing.assert_array_equal(keys, expected_keys)
    assert random_state_of(numpys) is numpys
    assert random_state_of(None) is np.random.mtrand._rand
    with pytest.raises(ValueError, match="between 0 and"):
        random_state_of(-1)


@pytest.mark.parametrize("shift", [0.0, -1.0, -3.0, -9.0])
def test_layers_that_are_plainly_alive_have_few_dead_units(shift):
    plan = TrainingPlan((3, 40, 20, 1), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.GRADIENT)
    theta = initialise(plan.layer_units, plan.activation, np.random.RandomState(1), plan.dtype)
    views(theta, plan.layer_units)[1][0][:] += shift

    def predict(plan, theta, rows):
        for number, layer in enumerate(zip(*views(theta, plan.layer_units), strict=True)):
            rows = (np.maximum(rows, 0) if number else rows) @ layer[0] + layer[1]
        return rows

    shares = inspection.dead_units(plan, theta, X, predict)
    alive = inspection.are_alive(plan, theta, X, 0.1)
    assert not alive or max(shares) <= 0.9
    assert alive or shift  # so that both ways are tried
    assert not alive or shift > -9


def at_end_of_page(array):
    """Copy an array so that its last element is the last one of a page."""
    room = np.zeros(array.nbytes + 3 * 4096, np.uint8)
    end = -room.ctypes.data % 4096 + (array.nbytes // 4096 + 1) * 4096
    place = room[end - array.nbytes : end].view(array.dtype).reshape(array.shape)
    place[...] = array
    return place


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_at_the_end_of_a_page_may_change_in_place(dtype):
    rows = X.astype(dtype)
    model = fit_quietly(MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0), rows, Y)
    model.coefs_ = [at_end_of_page(w) for w in model.coefs_]
    model.intercepts_ = [at_end_of_page(b) for b in model.intercepts_]
    for factor in (1, 3):
        model.coefs_[1][:] *= factor
        model.intercepts_[1][:] += factor
        hidden = np.maximum(rows @ model.coefs_[0] + model.intercepts_[0], 0)
        expected = (hidden @ model.coefs_[1] + model.intercepts_[1]).ravel()
        for n_rows in (1, 7):
            np.testing.assert_allclose(model.predict(rows[:n_rows]), expected[:n_rows], rtol=1e-5)


def test_threads_that_predict_first_at_once_have_the_same_copies(monkeypatch):
    model = fit_quietly(MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0), X, Y)
    expected = model.predict(X[:3])
    model.coefs_ = [at_end_of_page(w) for w in model.coefs_]
    model.intercepts_ = [at_end_of_page(b) for b in model.intercepts_]
    plain, found = prediction.NetworkInPlace._copied_to, []

    def while_another_begins(self, *arguments):
        copied = plain(self, *arguments)
        if not found:
            found.append(None)
            with ThreadPoolExecutor(1) as pool:
                found.append(pool.submit(model.predict, X[:3]).result())
        return copied

    monkeypatch.setattr(prediction.NetworkInPlace, "_copied_to", while_another_begins)
    found += [model.predict(X[:3]), model.predict(X[:3])]
    for outputs in found[1:]:
        np.testing.assert_array_equal(outputs, expected)


def test_rows_of_many_numbers_are_read_where_they_lie():
    wide = np.random.RandomState(0).normal(size=(40, 500))
    assert wide.size > prediction._FEW_NUMBERS
    model = fit_quietly(MLPRegressor(hidden_layer_sizes=(5,), max_iter=1), wide, wide[:, 0])
    whole = model.predict(wide)
    turned = np.asfortranarray(wide)
    for rows in (slice(0, 1), slice(3, 40), slice(0, 40, 2), slice(7, 9)):
        np.testing.assert_array_equal(model.predict(wide[rows]), whole[rows])
        np.testing.assert_array_equal(model.predict(turned[rows]), whole[rows])
    before = wide.copy()
    model.predict(wide)
    np.testing.assert_array_equal(wide, before)


@pytest.mark.parametrize("dtype", ["i8", "u1", "?", "f8", "U2"])
def test_plain_labels_are_scored_as_by_scikit_learn(dtype):
    draw = np.random.RandomState(0)
    y, predicted = (draw.randint(0, 2, 17).astype(dtype) for _ in range(2))
    for weight in (None, draw.uniform(size=17)):
        found = accuracy(y, predicted, weight)
        assert type(found) is float
        assert found == accuracy_score(y, predicted, sample_weight=weight)
    with pytest.raises(ValueError):
        accuracy(y[:5], predicted)
