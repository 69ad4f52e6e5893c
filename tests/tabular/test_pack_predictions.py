"""A pack predicts each row as it would alone, whatever the parts and threads."""

import numpy as np
import pytest

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.tabular.pack import members as module
from fastmlp.tabular.pack.members import Member, Pack, make_small

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHANCE = np.random.RandomState(0)
INPUTS = CHANCE.normal(size=(600, 7)).astype(np.float32)
RANGES = {"a": (0, 7), "b": (2, 6)}
WEIGHTS = {"a": 0.25, "b": 0.75}
TARGETS = {
    "two": INPUTS[:, 3] > 0,
    "three": np.digitize(INPUTS[:, 3], [-0.5, 0.5]),
    "numbers": INPUTS[:, 3] * 2,
}


def pack_of(name):
    y = TARGETS[name]
    cls = MLPRegressor if name == "numbers" else MLPClassifier
    found = []
    for kind, (start, stop) in RANGES.items():
        for fold in range(2):
            network = cls(hidden_layer_sizes=(20, 9), max_iter=2, random_state=fold, diagnose=False)
            network.fit(INPUTS[fold:500, start:stop], y[fold:500])
            make_small(network)
            found.append(Member(kind, fold, network, start, stop, 0.5, 0.1))
    classes, bounds = (None, (0.0, 0.1)) if name == "numbers" else (np.unique(y), None)
    return Pack(found, WEIGHTS, classes=classes, bounds=bounds)


@pytest.mark.parametrize("name", TARGETS)
def test_the_mean_is_that_of_what_members_predict_themselves(name):
    pack, expected = pack_of(name), 0
    for member in pack.members:
        X, network = INPUTS[:, member.start : member.stop], member.network
        if name == "numbers":
            found = np.clip(network.predict(X), *pack.bounds)
        else:
            found = network.predict_proba(X)
        expected = expected + WEIGHTS[member.kind] / 2 * found.astype(np.float64)
    found = pack.predict(INPUTS) if name == "numbers" else pack.predict_proba(INPUTS)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    if name == "numbers":
        assert found.min() >= 0 and found.max() <= 0.1 + 1e-9
        assert np.any(found > 0.1 - 1e-9)  # where all members are at the bound
    else:
        np.testing.assert_array_equal(pack.predict(INPUTS), pack.classes_[found.argmax(axis=1)])


@pytest.mark.parametrize("name", TARGETS)
def test_parts_rows_alone_and_threads_give_the_same_bits(name, monkeypatch):
    pack = pack_of(name)

    def predict(rows):
        return pack.predict(rows) if name == "numbers" else pack.predict_proba(rows)

    expected = predict(INPUTS)
    for i in (0, 7, 599):
        np.testing.assert_array_equal(predict(INPUTS[i : i + 1])[0], expected[i])
    assert len(predict(INPUTS[:0])) == 0
    monkeypatch.setattr(module, "_ROWS_AT_A_TIME", 7)
    np.testing.assert_array_equal(predict(INPUTS), expected)
    for member in pack.members:
        member.network.n_jobs = 1
    np.testing.assert_array_equal(predict(INPUTS), expected)
    np.testing.assert_array_equal(predict(np.asfortranarray(INPUTS)), expected)


def test_inputs_of_another_number_of_columns_are_refused():
    with pytest.raises(ValueError, match="fit a network of 7 inputs"):
        pack_of("two").predict_proba(INPUTS[:, :6])
