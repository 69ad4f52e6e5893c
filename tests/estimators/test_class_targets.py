"""Labels as scikit-learn encodes and scores them."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer

from fastmlp.estimators.class_targets import ClassTargets

RNG = np.random.default_rng(0)
LABELS = {
    "integers": np.array([3, -1, 7, 10**12]),
    "small integers": np.array([0, 1, 2, 5], dtype=np.int8),
    "floats": np.array([0.0, 1.0, 4.0, -2.0]),
    "texts": np.array(["a", "bb", "", "Ä"]),
    "objects": np.array(["a", "b", "c", "d"], dtype=object),
    "truths": np.array([False, True]),
}


@pytest.mark.parametrize("n_classes", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_encoded_and_scored_as_by_scikit_learn(kind, n_classes):
    labels = LABELS[kind][:n_classes]
    y = np.concatenate([labels, RNG.choice(labels, 40)])
    targets = ClassTargets("log_loss").learned_from(y)
    binarizer = LabelBinarizer().fit(y)
    Y = targets.encode(y)
    expected = binarizer.transform(y).astype(bool)
    np.testing.assert_array_equal(Y, expected)
    assert Y.dtype == bool and Y.flags.c_contiguous and Y.shape == expected.shape
    np.testing.assert_array_equal(targets.encode(y[::-3]), binarizer.transform(y[::-3]))
    for dtype in (np.float32, np.float64):
        # Halves and equal outputs are frequent.
        outputs = RNG.choice([0, 0.25, 0.5, 0.75, 1], Y.shape).astype(dtype)
        for weight in (None, RNG.uniform(size=len(y)), RNG.uniform(size=len(y)).astype(dtype)):
            expected = accuracy_score(y, targets.decode(outputs), sample_weight=weight)
            assert targets.score(Y, outputs, weight) == expected


@pytest.mark.parametrize(
    "y",
    [np.array([3, 4]), np.array([1.5, 2.0]), np.array(["1"]), np.array([[1, 0]]), [0, 1]],
)  # fmt: skip
def test_other_labels_are_left_to_scikit_learn(y):
    """Labels that were not learned, or are of another kind."""
    targets = ClassTargets("log_loss").learned_from(np.array([0, 1, 2, 0]))
    try:
        expected = targets.binarizer.transform(y).astype(bool)
    except ValueError as error:
        with pytest.raises(ValueError) as found:
            targets.encode(y)
        assert str(found.value) == str(error)
    else:
        np.testing.assert_array_equal(targets.encode(y), expected)
