"""What an estimator for tables is in the callback of its fit."""

import copy

import numpy as np
import pytest
from helpers import fit_quietly, flat

from fastmlp import TabularClassifier, TabularRegressor


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_a_callback_predicts_with_the_weights_of_its_epoch(cls, people):
    target = "class" if cls is TabularClassifier else "age"
    X, y = people.drop(columns=target), people[target]

    def stopped_at(n_epochs):
        model = cls((8,), max_iter=4)
        return fit_quietly(model, X, y, callback=lambda epoch: epoch.epoch == n_epochs)

    model = cls((8,), max_iter=4)
    seen, copies = [], []

    def watch(epoch):
        assert model.n_iter_ == model.estimator_.n_iter_ == epoch.epoch
        assert model.columns_ and model.target_name_ == target
        seen.append((model.predict(X), model.score(X, y)))
        copies.append(copy.deepcopy(model))

    fit_quietly(model, X, y, callback=watch)
    assert len(seen) == 4
    for n_epochs, ((predicted, score), kept) in enumerate(zip(seen, copies, strict=True), 1):
        expected = stopped_at(n_epochs)
        assert np.array_equal(predicted, expected.predict(X)) and score == expected.score(X, y)
        assert np.array_equal(kept.predict(X), predicted)
        assert vars(kept).keys() == vars(expected).keys()
    assert vars(model).keys() == vars(stopped_at(4)).keys()
    assert all(w.flags.writeable for w in model.estimator_.coefs_)


def test_a_refit_shows_the_new_columns_and_a_failing_one_leaves_the_old_model(people):
    X, y = people[["age", "city"]], people["class"]
    model = fit_quietly(TabularClassifier((8,), max_iter=2), X, y)
    before, network = flat(model.estimator_), model.estimator_

    def fail(epoch):
        model.predict(people[["income"]])
        if epoch.epoch == 2:
            raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        model.fit(people[["income"]], people["city"], callback=fail)
    assert model.estimator_ is network and np.array_equal(flat(network), before)
    assert model.predict(X).shape == (120,)
    assert model.classes_.tolist() == ["old", "young"]
