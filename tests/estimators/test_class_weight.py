"""class_weight of the classifier."""

import numpy as np
import pytest
from helpers import fit_quietly, flat
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import recall_score
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from fastmlp import MLPClassifier, TabularClassifier
from fastmlp.exceptions import InputError
from fastmlp.tabular.train import train_table

X, LABELS = load_iris(return_X_y=True)
X, LABELS = X[:110], LABELS[:110]  # 50, 50 and 10
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
QUICK = {"random_state": 0, "max_iter": 200, "tol": 0.05, "n_iter_no_change": 1}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize(
    ("y", "class_weight"),
    [
        (NAMES, "balanced"),
        (NAMES, {"setosa": 1, "versicolor": 0.5, "virginica": 7}),
        (LABELS, {2: 3.0}),
        (LABELS > 0, {True: 2.0, False: 0.3}),
    ],
    ids=["balanced", "names", "part", "truth"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_equals_sample_weights(y, class_weight, solver, early_stopping):
    params = {**QUICK, "solver": solver, "early_stopping": early_stopping}
    params["max_iter"] = 30
    own = np.linspace(1, 2, len(X))
    for sample_weight in (None, own):
        # 'balanced' counts sample weights as so many rows.
        classes, which = np.unique(y, return_inverse=True)
        by_class = compute_class_weight(
            class_weight, classes=classes, y=y, sample_weight=sample_weight
        )[which]
        expected = by_class if sample_weight is None else own * by_class
        model = MLPClassifier(class_weight=class_weight, **params)
        model.fit(X, y, sample_weight=sample_weight)
        reference = MLPClassifier(**params).fit(X, y, sample_weight=expected)
        np.testing.assert_array_equal(flat(model), flat(reference))
        assert model.loss_ == reference.loss_


def test_weights_are_like_repeated_rows():
    weight = 1 + np.arange(len(X)) % 3
    rows = np.repeat(np.arange(len(X)), weight)
    params = {"class_weight": "balanced", "solver": "lbfgs", "alpha": 1.0, "max_iter": 2000}
    weighted = MLPClassifier((), **params, random_state=0).fit(X, NAMES, weight)
    repeated = MLPClassifier((), **params, random_state=0).fit(X[rows], NAMES[rows])
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=0, atol=1e-4
    )


def test_multilabel():
    inputs, y = make_multilabel_classification(60, n_classes=3, random_state=0)
    for class_weight in ("balanced", [{0: 1, 1: 2}, {0: 1, 1: 1}, {0: 3, 1: 1}]):
        model = MLPClassifier(class_weight=class_weight, **QUICK).fit(inputs, y)
        weights = compute_sample_weight(class_weight, y)
        reference = MLPClassifier(**QUICK).fit(inputs, y, sample_weight=weights)
        np.testing.assert_array_equal(flat(model), flat(reference))


def test_partial_fit():
    class_weight = {"setosa": 1, "versicolor": 0.5, "virginica": 7}
    model = MLPClassifier(class_weight=class_weight, random_state=0)
    reference = MLPClassifier(random_state=0)
    for rows in (slice(0, 60), slice(40, 50), slice(90, 110)):  # the second has one class
        model.partial_fit(X[rows], NAMES[rows], classes=np.unique(NAMES))
        weights = np.array([class_weight[name] for name in NAMES[rows]])
        reference.partial_fit(X[rows], NAMES[rows], weights, classes=np.unique(NAMES))
    np.testing.assert_array_equal(flat(model), flat(reference))
    with pytest.raises(ValueError, match="class_weight='balanced' is not known to partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, NAMES, classes=np.unique(NAMES))


def test_a_rare_class_is_found_more_often():
    inputs, y = make_classification(
        2000, 10, weights=[0.97], flip_y=0.02, class_sep=0.7, random_state=0
    )
    recalls = []
    for class_weight in (None, "balanced"):
        model = MLPClassifier((20,), class_weight=class_weight, max_iter=30, random_state=0)
        with pytest.warns(ConvergenceWarning):
            model.fit(inputs[:1000], y[:1000])
        recalls.append(recall_score(y[1000:], model.predict(inputs[1000:])))
    assert recalls[1] > recalls[0] + 0.2


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"setosa": 1, "rose": 2}, r"\['versicolor', 'virginica'\], are not in class_weight"),
        ([{0: 1}], "a list of class weights is for multilabel"),
        ({"setosa": -1, "versicolor": 1, "virginica": 1}, "must be finite and not negative"),
        ({"setosa": np.nan, "versicolor": 1, "virginica": 1}, "must be finite"),
        ({"setosa": np.inf, "versicolor": 1, "virginica": 1}, "must be finite"),
        ("even", "class_weight"),
    ],
)
def test_weights_that_cannot_be_honoured(class_weight, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(class_weight=class_weight).fit(X, NAMES)


def test_of_a_table(people):
    plain, balanced = (
        fit_quietly(
            TabularClassifier(max_iter=5, class_weight=weight),
            people.drop(columns="member"),
            people["member"],
        )
        for weight in (None, "balanced")
    )
    assert balanced.estimator_.class_weight == "balanced"
    assert balanced.predict_proba(people)[:, 1].mean() > plain.predict_proba(people)[:, 1].mean()
    with pytest.raises(InputError, match="class weights are for classification"):
        train_table(people, "age", "regression", class_weight="balanced")
