"""A model knows the rows that it was trained on, in whatever file they come."""

import numpy as np
import pandas as pd
import pytest

from fastmlp import TabularRegressor, load_model, save_model, train_table
from fastmlp.exceptions import collected_warnings
from fastmlp.tabular import trained_rows
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.train import read_for
from fastmlp.tabular.trained_rows import hashes_to_keep, share_trained_on

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "task": "regression"}
N_ROWS = 300


def train(frame, target="y", **parameters):
    with collected_warnings():  # of numbers that are written as text
        return train_table(frame, target, **{**SMALL, **parameters})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    pd.DataFrame({
        "size": np.where(rng.random(N_ROWS) < 0.2, np.nan, rng.integers(0, 900, N_ROWS)),
        "price": [f"{v:,} EUR" for v in rng.integers(1000, 90_000, N_ROWS)],
        "city": rng.choice(["Rome", "Oslo", None], N_ROWS),
        "is_new": rng.random(N_ROWS) < 0.5,
        "constant": "c",
        "y": rng.normal(size=N_ROWS).round(3),
        "z": rng.normal(size=N_ROWS).round(3),
    }).to_csv(path, index=False)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model(path):
    return train(read_table(path))


def test_rows_are_known_in_other_files(model, path, tmp_path):
    save_model(model, tmp_path / "m.fastmlp")
    again = load_model(tmp_path / "m.fastmlp")
    assert len(again.trained_rows_) == 240 and again.trained_rows_.dtype == np.uint32
    whole = read_for(again, path)
    assert share_trained_on(again, whole) == 0.8
    # Numbers are integers, columns stand in another order, and one is not there.
    lines = whole.loc[whole["size"].notna(), ["z", "y", "is_new", "city", "price", "size"]]
    lines.astype({"size": int}).iloc[::-1].to_csv(tmp_path / "part.csv", index=False)
    part = read_for(again, tmp_path / "part.csv")
    assert 0.7 < share_trained_on(again, part) < 0.9
    known = [share_trained_on(again, whole.iloc[[i] * 5]) for i in range(N_ROWS)]
    assert set(known) == {0, 1} and sum(known) == 240
    for name in ("size", "price", "city", "is_new", "y", "z"):
        other = whole.assign(**{name: whole[name].sample(frac=1, random_state=0).to_numpy()})
        assert share_trained_on(again, other) < 0.6, name
    other = whole.assign(constant="another")  # the model does not use it
    assert share_trained_on(again, other) == 0.8
    del again.trained_rows_
    save_model(again, tmp_path / "without.fastmlp")
    assert share_trained_on(load_model(tmp_path / "without.fastmlp"), whole) == 0


def test_all_rows_after_a_second_training(path):
    frame = read_table(path)
    assert share_trained_on(train(frame, refit=True), frame) == 1
    assert share_trained_on(train(frame, test_size=0), frame) == 1


def test_several_targets_and_classes(path):
    frame = read_table(path)
    assert share_trained_on(train(frame, ["y", "z"]), frame) == 0.8
    assert share_trained_on(train(frame, "is_new", task="classification"), frame) == 0.8


def test_of_many_rows_a_sample_is_kept(model, monkeypatch):
    monkeypatch.setattr(trained_rows, "_MOST_HASHES", 500)
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({
        "size": rng.normal(size=20_000), "price": "1 EUR", "city": "Rome", "is_new": True,
        "y": 0.0, "z": 0.0,
    })  # fmt: skip
    kept = hashes_to_keep(model, rows[:10_000])
    assert len(kept) == 500
    sampled = type("Model", (), {**vars(model), "trained_rows_": kept})
    assert share_trained_on(sampled, rows[:10_000]) == 1
    assert share_trained_on(sampled, rows[10_000:]) == 0
    assert share_trained_on(sampled, rows[5000:15_000]) == pytest.approx(0.5, abs=0.1)
    few = rows[:10_000][np.isin(trained_rows._hashes(model, rows[:10_000]), kept)]
    assert share_trained_on(sampled, few[:5]) == 1
    assert share_trained_on(sampled, few[:4]) == 0  # equal rows may be chance


@pytest.mark.parametrize("n_rows", [500, 50_000])  # all hashes are kept, and a sample of them
def test_new_rows_that_are_equal_by_chance(model, n_rows):
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({
        "size": rng.integers(0, 6 * n_rows, 2 * n_rows), "price": "1 EUR", "city": "Rome",
        "is_new": True, "y": 0.0, "z": 0.0,
    })  # fmt: skip
    kept = hashes_to_keep(model, rows[:n_rows])
    knows = type("Model", (), {**vars(model), "trained_rows_": kept})
    new = rows[n_rows:]
    assert share_trained_on(knows, rows[:n_rows]) == 1
    parts = np.array_split(np.arange(n_rows), 100)
    assert len(kept) > 450 and not any(share_trained_on(knows, new.iloc[part]) for part in parts)


def test_text_that_is_no_unicode():
    words = pd.Series(["x\udfff", "\ud800", "a", None] * 15, dtype=object)
    frame = pd.DataFrame({"word": words, "y": np.arange(60.0)})
    assert share_trained_on(train(frame, test_size=0), frame) == 1


def test_nothing_is_told_where_nothing_is_known(model, path):
    frame = read_table(path)
    assert len(hashes_to_keep(model, pd.concat([frame[:50]] * 2))) == 0
    with collected_warnings():
        fitted = TabularRegressor((4,), max_iter=3).fit(frame.drop(columns="y"), frame["y"])
    assert share_trained_on(fitted, frame) == 0
