"""Training on all rows after a model was measured on some."""

import numpy as np
import pytest

from fastmlp import InputError, load_model, save_model, train_table
from fastmlp.tabular.card import model_card

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 5, "early_stopping": False}


def test_the_model_is_that_of_all_rows_with_the_metrics_of_the_first(people, tmp_path):
    first = train_table(people, "class", **SMALL)
    every = train_table(people, "class", test_size=0, **SMALL)
    model = train_table(people, "class", refit=True, **SMALL)
    assert model.report_["test"] == first.report_["test"]
    assert model.report_["baseline"] == first.report_["baseline"]
    for key in ("loss", "inputs", "layers"):
        assert model.report_[key] == every.report_[key]
    assert model.report_["refit_rows"] == 120 and model.report_["train_rows"] == 96
    assert np.array_equal(model.predict_proba(people), every.predict_proba(people))
    save_model(model, tmp_path / "m.fastmlp")
    card = model_card(load_model(tmp_path / "m.fastmlp"))
    assert card["trained_rows"] == 120
    assert card["scores"]["source"].endswith("other 96 rows; this one was then trained on all 120")
    assert "refit_rows" not in first.report_


def test_packs_and_several_targets(people, tmp_path):
    full = people.fillna({"income": 0.0})
    for target, options in (("age", {"members": 2, "max_iter": 3}), (["age", "income"], SMALL)):
        every = train_table(full, target, "regression", test_size=0, **options)
        model = train_table(full, target, "regression", refit=True, **options)
        assert np.array_equal(model.predict(full), every.predict(full))
        save_model(model, tmp_path / "m.fastmlp")
        assert load_model(tmp_path / "m.fastmlp").report_["test"] == model.report_["test"]
    assert all("test" in part for part in model.report_["targets"])


class Interrupting:
    """A callback that interrupts a training: the first, the second, and so on."""

    def __init__(self, number):
        self.left = number

    def __call__(self, epoch):
        self.left -= epoch.epoch == 1
        if not self.left and epoch.epoch == 2:
            raise KeyboardInterrupt


def test_ctrl_c_in_the_second_training_keeps_the_first_model(people):
    first = train_table(people, "class", **SMALL)
    with pytest.warns(UserWarning, match="was interrupted, and the first model is kept"):
        model = train_table(people, "class", refit=True, callback=Interrupting(2), **SMALL)
    assert np.array_equal(model.predict_proba(people), first.predict_proba(people))
    assert "refit_rows" not in model.report_ and not model.report_["interrupted"]


def test_ctrl_c_in_the_first_training_ends_both(people):
    model = train_table(people, "class", refit=True, callback=Interrupting(1), **SMALL)
    assert model.report_["interrupted"] and model.report_["epochs"] == 2
    assert "refit_rows" not in model.report_ and "test" in model.report_


def test_a_second_training_that_fails_keeps_the_first_model(people):
    def fail(epoch):
        counts.append(epoch.epoch)
        if counts.count(1) == 2:
            raise ValueError("no more")

    counts = []
    with pytest.warns(UserWarning, match="all rows failed, and the first model is kept: no more"):
        model = train_table(people, "class", refit=True, callback=fail, **SMALL)
    assert "refit_rows" not in model.report_ and model.report_["epochs"] == 5


def test_both_trainings_share_the_time(people):
    limits = []

    def note(event):
        limits.append(event.seconds_left)

    model = train_table(people, "class", refit=True, time_limit=50, callback=note)
    assert model.time_limit == 50 and max(limits) < 50 and "refit_rows" in model.report_


def test_ctrl_c_while_measuring_keeps_the_model(people, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.tabular.train.predicted_by", stop)
    with pytest.warns(UserWarning, match="measuring was interrupted: the model is trained"):
        model = train_table(people, "class", refit=True, **SMALL)
    assert "test" not in model.report_ and model.report_["interrupted"]
    assert len(model.predict(people)) == 120 and "refit_rows" not in model.report_


def test_what_a_refit_cannot_be_combined_with(people, tmp_path):
    with pytest.raises(InputError, match="test_size=0 trains on all rows"):
        train_table(people, "class", refit=True, test_size=0, **SMALL)
    with pytest.raises(InputError, match="a `checkpoint` is of one training"):
        train_table(people, "class", refit=True, checkpoint=tmp_path / "c", **SMALL)
