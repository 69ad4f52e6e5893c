"""The facts of a model card."""

import numpy as np
import pytest

from fastmlp import MLPClassifier, TabularPreprocessor, train_table
from fastmlp.tabular.card import model_card

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3}


def test_the_card_of_a_table_model(people):
    model = train_table(people, "class", **SMALL)
    card = model_card(model)
    assert (card["task"], card["targets"], card["classes"]) == (
        "classification", ["class"], ["old", "young"]
    )  # fmt: skip
    assert card["trained_rows"] == 96 and card["scores"]["rows"] == 24
    assert card["scores"]["test"] == model.report_["test"]
    names = {column["name"]: column for column in card["columns"]}
    assert names["city"] == {"name": "city", "kind": "text", "levels": 3}
    assert names["age"] == {"name": "age", "kind": "numeric", "levels": None}
    assert set(card["dropped"]) == {"planet", "nothing", "name"}
    network = model.estimator_
    assert card["parameters"] == sum(a.size for a in network.coefs_ + network.intercepts_)
    assert card["networks"] == 1 and card["layers"] == [model.report_["layers"]]
    assert "Its scores are of 24 rows, and rough." in card["limits"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"test_size": 0}, "No rows were held out"),
        ({"callback": lambda epoch: epoch.epoch == 1 and _interrupt()}, "was interrupted"),
    ],
)
def test_limits_are_those_of_the_model(people, change, said):
    model = train_table(people, "age", "regression", early_stopping=False, **{**SMALL, **change})
    assert any(said in limit for limit in model_card(model)["limits"])
    good = train_table(people, "age", hidden_layer_sizes=(16,), max_iter=200)
    assert not any(said in limit for limit in model_card(good)["limits"])


@pytest.mark.parametrize("target", ["class", "age"])
def test_models_of_no_use_are_called_so(people, target):
    model = train_table(people, target, **SMALL)
    model.report_["test"] = model.report_["baseline"]
    assert "It is no better than the trivial prediction" in " ".join(model_card(model)["limits"])


def _interrupt():
    raise KeyboardInterrupt


def test_a_model_that_was_not_measured_says_so(people):
    model = train_table(people, "class", **SMALL)
    del model.report_
    card = model_card(model)
    assert card["scores"] is None and card["trained_rows"] is None
    assert card["limits"][0].startswith("How good it is is not in the file")


def test_packs_several_targets_and_bare_networks(people):
    model = train_table(people, "age", members=2, max_iter=3)
    assert model_card(model)["networks"] == len(model.estimator_.members)
    full = people.fillna({"income": 0.0})
    several = train_table(full, ["age", "income"], **SMALL)
    card = model_card(several)
    assert card["targets"] == ["age", "income"] and card["networks"] == 2
    assert card["classes"] is None and card["task"] == "regression"
    bare = MLPClassifier((3,)).fit(np.eye(4), [0, 1, 0, 1], callback=lambda epoch: True)
    card = model_card(bare)
    assert card["layers"] == [[4, 3, 1]] and card["parameters"] == 19 and not card["limits"]
    prepared = TabularPreprocessor().fit(people.drop(columns="class"))
    card = model_card(prepared)
    assert card["task"] == "preparation of a table" and card["networks"] == 0
