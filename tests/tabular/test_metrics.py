"""The metrics of a classification, also where test rows have other classes than the model."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from fastmlp.tabular.metrics import classification_metrics


@pytest.mark.parametrize("labels", [["a", "b", "c"], [3, 1, 2], [False, True, True]])
def test_balanced_accuracy_is_that_of_scikit_learn(labels):
    rng = np.random.default_rng(1)
    y = rng.choice(labels, 50)
    classes = np.unique(labels)
    probabilities = rng.dirichlet(np.ones(len(classes)), 50)
    predicted = classes[probabilities.argmax(axis=1)]
    found = classification_metrics(y, probabilities, classes)["balanced_accuracy"]
    assert found == pytest.approx(balanced_accuracy_score(y, predicted), abs=1e-15)


def test_classes_of_one_side_alone():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    y, classes = np.array(["a", "b", "x", "b"]), np.array(["a", "b", "c"])
    found = classification_metrics(y, probabilities, classes, np.isin(y, classes))
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
