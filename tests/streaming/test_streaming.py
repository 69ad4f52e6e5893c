"""Training on files in parts: rows, shards, visits, and the model that comes of them."""

import errno
import io
import os
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastmlp
from fastmlp import (
    DataWarning,
    TabularClassifier,
    TabularRegressor,
    load_model,
    save_model,
    train_files,
)
from fastmlp.engines.engine import Data
from fastmlp.exceptions import DataError, InputError
from fastmlp.streaming import shards as shards_module
from fastmlp.streaming import statistics, training
from fastmlp.streaming.rows import Purpose, are_within, drawn, splitmix64
from fastmlp.streaming.shards import Deal, ShardWriter, number_of_shards, row_type
from fastmlp.streaming.training import begin
from fastmlp.streaming.visits import Position, visit
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.preprocessing import TabularPreprocessor
from fastmlp.tabular.train import read_for

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 3}


def table(n_rows=3000, seed=0):
    """A table whose last column follows from the others."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n_rows)
    size = rng.normal(size=n_rows).round(4)
    return pd.DataFrame(
        {
            "size": np.where(rng.random(n_rows) < 0.1, np.nan, size),
            "kind": np.array(["oak", "ash, old", 'the "elm"'])[kind],
            "count": rng.integers(0, 9, n_rows),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n_rows), "D"),
            "y": (size + kind + 0.1 * rng.normal(size=n_rows)).round(4),
        }
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bits(model):
    arrays = [*model.estimator_.coefs_, *model.estimator_.intercepts_]
    return b"".join(array.tobytes() for array in arrays)


# ---- rows and shards ---------------------------------------------------------------------


def test_splitmix64_is_the_published_one():
    first = splitmix64(np.array([0, 1234567], dtype=np.uint64))
    assert first.tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]


def test_draws_belong_to_rows():
    whole = drawn(0, 100_000, 3, Purpose.TEST)
    assert np.array_equal(
        np.concatenate([drawn(0, 7, 3, Purpose.TEST), drawn(7, 20, 3, Purpose.TEST)]), whole[:27]
    )
    assert abs(are_within(whole, 0.2).mean() - 0.2) < 0.01
    assert not are_within(whole, 0.0).any() and are_within(whole, 1.0).all()
    others = [drawn(0, 100_000, 3, Purpose.SHARD), drawn(0, 100_000, 4, Purpose.TEST)]
    for other in others:
        both = are_within(whole, 0.5) & are_within(other, 0.5)
        assert abs(both.mean() - 0.25) < 0.01


def test_the_number_of_shards_follows_from_the_data():
    found = {n: number_of_shards(n, 50) for n in (10, 1999, 4000, 16_000, 10**6, 10**8)}
    assert found == {10: 1, 1999: 1, 4000: 4, 16_000: 16, 10**6: 16, 10**8: 512}


def test_rows_are_dealt_once_and_in_their_order(tmp_path):
    dtype = row_type(1, [300], False)
    assert dtype["codes"].base == np.uint16
    written = {}
    for step in (10, 333, 5000):
        folder = tmp_path / str(step)
        folder.mkdir()
        writer = ShardWriter(folder, dtype, Deal(4, seed=1, test_size=0.2, validation_size=0.1))
        rows = np.zeros(5000, dtype=dtype)
        rows["numbers"][:, 0] = rows["target"] = np.arange(5000)
        for start in range(0, 5000, step):
            writer.add(start, rows[start : start + step])
        shards = writer.shards
        parts = {name: shards.read(name)["target"] for name in shards.counts}
        assert all((np.diff(part) > 0).all() for part in parts.values())
        assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(5000))
        assert {name: len(part) for name, part in parts.items()} == shards.counts
        assert len(shards.names("train")) == 4 and 900 < shards.counts["test"] < 1100
        written[step] = {name: (folder / name).read_bytes() for name in shards.counts}
    assert written[10] == written[333] == written[5000]


def test_a_visit_is_a_pure_function():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 5)).astype(np.float32), rng.normal(size=500)
    network = fastmlp.MLPRegressor(hidden_layer_sizes=(7,), batch_size=32, early_stopping=False)
    streamed = begin(network, 5, np.zeros(2), seed=0)
    theta = np.concatenate([w.ravel() for w in [*network.coefs_, *network.intercepts_]])
    data, position = streamed.data(X, y.astype(np.float32)), Position(theta)
    before = theta.copy()
    once = [visit(data, streamed.plan, position, [0, 1, 2], 0.01, n_jobs=n) for n in (1, 2)]
    assert once[0].position.theta.tobytes() == once[1].position.theta.tobytes()
    assert np.array_equal(theta, before) and not np.array_equal(once[0].position.theta, before)
    again = [visit(data, streamed.plan, one.position, [0, 2, 2], 0.01) for one in once]
    assert again[0].position.theta.tobytes() == again[1].position.theta.tobytes()
    assert again[0].loss < once[0].loss and again[0].position.memory[0] == 2 * 16
    other = visit(data, streamed.plan, position, [0, 1, 3], 0.01)
    assert not np.array_equal(other.position.theta, once[0].position.theta)
    small = visit(Data(data.X[:3], data.Y[:3]), streamed.plan, position, [0], 0.01)
    assert small.position.memory[0] == 1


# ---- models ------------------------------------------------------------------------------


def test_the_model_does_not_depend_on_chunks_and_threads(here):
    table().to_csv("t.csv", index=False)
    lines = Path("t.csv").read_text().splitlines(keepends=True)
    Path("a.csv").write_text("".join(lines[:1000]))
    Path("b.csv").write_text("".join([lines[0], *lines[1000:]]))
    models = [
        train_files(files, n_rows=n_rows, n_jobs=n_jobs, n_sample=n_sample, **QUICK)
        for files, n_rows, n_jobs, n_sample in (
            ("t.csv", 100, 1, 500), ("t.csv", 10_000, 2, 500), ("[ab].csv", 333, 2, 500),
        )
    ]  # fmt: skip
    assert len({bits(model) for model in models}) == 1
    reports = [{**model.report_, "seconds": 0} for model in models]
    assert reports[0] == reports[1] == reports[2]
    assert bits(train_files("t.csv", random_state=1, n_sample=500, **QUICK)) != bits(models[0])
    assert sorted(path.name for path in here.iterdir()) == ["a.csv", "b.csv", "t.csv"]


def test_a_small_table_is_prepared_as_in_memory(here):
    table().to_csv("t.csv", index=False)
    model = train_files("t.csv", test_size=0, **QUICK)
    frame = read_table("t.csv")
    prepared = TabularPreprocessor().fit(frame.drop(columns="y"), frame["y"])
    rest = frame.drop(columns="y")
    assert model.preprocessor_.transform(rest).tobytes() == prepared.transform(rest).tobytes()
    assert [c["kind"] for c in model.columns_] == ["numeric", "text", "numeric", "date"]
    assert model.target_mean_ == np.mean(frame["y"]) and model.target_name_ == "y"


@pytest.mark.parametrize("is_class", [False, True])
def test_the_model_is_an_ordinary_one(here, is_class):
    frame = table()
    if is_class:
        frame["y"] = np.where(frame["y"] > 1, "large", "small")
    frame.to_csv("t.csv", index=False)
    epochs, told = [], []
    model = train_files(
        "t.csv", callback=epochs.append, told=lambda *a: told.append(a), max_iter=30
    )
    assert type(model) is (TabularClassifier if is_class else TabularRegressor)
    report = model.report_
    assert report["rows"] == 3000 == report["train_rows"] + report["test_rows"]
    assert report["test"]["accuracy" if is_class else "r2"] > 0.9
    assert report["why"].startswith("one network, because the table streams")
    assert report["layers"][1:3] == [128, 64] and len(epochs) == report["epochs"] == model.n_iter_
    assert model.estimator_.validation_scores_ == [e.validation_score for e in epochs]
    assert model.estimator_.best_validation_score_ == max(model.estimator_.validation_scores_)
    assert {what for what, _ in told} >= {"reading", "writing shards", "epoch 1"}
    assert all(0 <= share <= 1 for _, share in told)
    save_model(model, "m.fastmlp")
    again = load_model("m.fastmlp")
    rest = read_for(again, "t.csv")
    assert again.predict(rest).tolist() == model.predict(rest).tolist()


def test_sorted_files_train_as_well_as_shuffled_ones(here):
    frame = table(6000)
    frame["y"] = frame["y"].map(lambda y: "abc"[int(np.clip(y, 0, 2))])
    test = table(4000, seed=1)
    labels = test["y"].map(lambda y: "abc"[int(np.clip(y, 0, 2))])
    found = []
    for name, rows in {"s": frame.sort_values("y"), "m": frame}.items():
        rows.to_csv(f"{name}.csv", index=False)
        model = train_files(f"{name}.csv", test_size=0, max_iter=15, learning_rate_init=0.003)
        test.to_csv("test.csv", index=False)
        found.append(model.score(read_for(model, "test.csv"), labels))
    assert abs(found[0] - found[1]) < 0.02 and min(found) > 0.85


def test_kinds_are_decided_on_all_rows(here):
    """Late text, late fractions, codes with leading zeros, and fields of several lines."""
    n = 600
    frame = pd.DataFrame(
        {
            "code": [f"{i % 12:03d}" for i in range(n - 1)] + ["A1"],
            "whole": [*(f"{i % 90}" for i in range(n - 1)), "0.5"],
            "note": ["two\nlines", "one"] * (n // 2),
            "y": [f"{i % 12}.5" for i in range(n)],
        }
    )
    frame.to_csv("t.csv", index=False)
    models = []
    for rows in (50, 10_000):
        with pytest.warns(DataWarning, match="'code' is taken as text, but all rows but one"):
            models.append(train_files("t.csv", n_rows=rows, test_size=0, **QUICK))
    assert bits(models[0]) == bits(models[1])
    for model in models:
        kinds = {column["name"]: column["kind"] for column in model.columns_}
        assert kinds == {"code": "text", "whole": "numeric", "note": "text"}
        assert "007" in model.preprocessor_.levels_[0]


def test_classes_of_rows_outside_the_sample(here):
    frame = table(2000)
    frame["y"] = ["rare" if i == 1500 else "ab"[i % 2] for i in range(2000)]
    frame.to_csv("t.csv", index=False)
    model = train_files("t.csv", n_sample=50, n_rows=300, **QUICK)
    assert model.classes_.tolist() == ["a", "b", "rare"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,y\n1,2\n1,2,3\n", {}, "line 3: 3 fields"),
        ("a,y\n" + "1,2\n" * 50 + "1,\n", {}, "target column 'y' is missing in row 51"),
        ("a,y\n1,2\n", {"target": "z"}, "no target column 'z'"),
        ("a,y\n1,2\n", {}, "too few rows"),
        ("y\n1\n2\n3\n", {"test_size": 0}, "no column but the target"),
        ("a,y\n" + "1,2\n" * 50, {}, "a single"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"effort": "high"}, "`effort` cannot be .* a pack needs"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"threshold": "f1"}, "`threshold` must be a number where"),
        ("a,y\n" + "1,u\n2,v\n" * 50, {"threshold": {"u": 1, "v": 2}, "members": 3}, "be a number"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"solver": "lbfgs"}, "solver='lbfgs' needs the table in mem"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"cache": "none"}, "no such folder for `cache`"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"test_size": 1}, "test_size must be"),
        ("a,y\n" + "1,2\n2,3\n" * 50, {"dropuot": 1}, "did you mean `dropout`"),
    ],
)  # fmt: skip
def test_what_cannot_stream(here, text, options, message):
    Path("t.csv").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(ValueError, match=message):
            train_files("t.csv", **options)
    assert [path.name for path in here.iterdir()] == ["t.csv"]


def test_tables_that_can_be_read_once(here):
    with pytest.raises(DataError, match="read twice, so it has to be in files"):
        train_files(io.StringIO("a,y\n1,2\n"))
    with pytest.raises(DataError, match=r"none\.csv: there is no such file"):
        train_files("none.csv")


def test_a_table_that_changes_while_it_is_read(here, monkeypatch):
    table(500).to_csv("t.csv", index=False)

    def told(what, share):
        if what == "writing shards":
            with open("t.csv", "a") as file:
                file.write("1,oak,2,2024-01-01,1\n")

    with pytest.raises(DataError, match=r"t\.csv: has changed while it was read"):
        train_files("t.csv", told=told, cache=".", n_rows=100, **QUICK)
    # Where size and time are as before, the rows are counted.
    monkeypatch.setattr("fastmlp.streaming.fit.check_unchanged", lambda before: None)
    with pytest.raises(DataError, match="the table has changed while it was read"):
        train_files("t.csv", told=told, cache=".", n_rows=100, **QUICK)
    assert [path.name for path in here.iterdir()] == ["t.csv"]


def test_a_disk_that_is_full(here, monkeypatch):
    table(500).to_csv("t.csv", index=False)

    class Full(io.BytesIO):
        def fileno(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards_module, "open", lambda *args: Full(), raising=False)
    with pytest.raises(
        InputError, match=r"cannot be written to .*: No space left on device; `cache`"
    ):
        train_files("t.csv", cache=".", **QUICK)
    assert [path.name for path in here.iterdir()] == ["t.csv"]


def test_ctrl_c_keeps_what_was_learned(here):
    table(2000).to_csv("t.csv", index=False)

    def interrupt(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    model = train_files("t.csv", callback=interrupt, cache=".", hidden_layer_sizes=(8,))
    assert model.report_["interrupted"] and model.report_["epochs"] == 2
    assert [path.name for path in here.iterdir()] == ["t.csv"]


def test_parquet_streams(here):
    pytest.importorskip("pyarrow")
    frame = table()
    frame.to_parquet("t.parquet")
    models = [train_files("t.parquet", n_rows=n_rows, **QUICK) for n_rows in (100, 10_000)]
    assert bits(models[0]) == bits(models[1])


def test_the_sample_is_that_of_all_rows(here, monkeypatch):
    """A small sample, cut many times, has the rows of the smallest draws."""
    table(1000).reset_index(names="id").to_csv("t.csv", index=False)
    looked = statistics.look_at(
        "t.csv", statistics.Reading(), None, test_size=0.2, seed=5, n_sample=40, n_rows=30
    )
    draws = drawn(0, 1000, 5, Purpose.SAMPLE).astype(np.float64)
    draws[are_within(drawn(0, 1000, 5, Purpose.TEST), 0.2)] = np.inf
    assert looked.sample["id"].tolist() == sorted(np.argsort(draws)[:40].tolist())
    assert looked.n_rows == 1000 and looked.n_trained == np.isfinite(draws).sum()


def test_it_needs_no_more_memory_for_more_rows(here):
    peaks = []
    head, _, rows = table(8000).to_csv(index=False).partition("\n")
    for times in (1, 3):
        Path("t.csv").write_text(head + "\n" + rows * times)
        tracemalloc.start()
        options = {"n_rows": 2000, "n_sample": 500, "test_size": 0, "max_iter": 1}
        train_files("t.csv", hidden_layer_sizes=(4,), **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_shards_are_read_while_others_train(here, monkeypatch):
    table(20_000).to_csv("t.csv", index=False)
    seen, read = [], shards_module.Shards.read

    def watched(shards, name):
        seen.append((name, threading.current_thread() is threading.main_thread()))
        return read(shards, name)

    monkeypatch.setattr(shards_module.Shards, "read", watched)
    model = train_files("t.csv", **QUICK)
    trained = [is_main for name, is_main in seen if name.startswith("train")]
    assert len(trained) == 3 * 16 and trained.count(True) == 3  # the first of each epoch
    monkeypatch.setattr(training, "read_ahead", lambda items: items)
    assert bits(train_files("t.csv", **QUICK)) == bits(model)

    def stop(what, share):
        if what == "epoch 2" and share > 0.3:
            raise KeyboardInterrupt

    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert train_files("t.csv", told=stop, **QUICK).report_["interrupted"]
    assert not [t for t in threading.enumerate() if t.name.startswith("fastmlp-read")]


@pytest.mark.parametrize("n_rows", [100, 10_000])
def test_faults_of_later_rows_name_their_line(here, n_rows):
    frame = table(600)
    frame["size"] = frame["size"].astype(str).replace("nan", "")
    frame.loc[450, "size"] = "inf"
    frame.to_csv("t.csv", index=False)
    with pytest.raises(
        DataError, match=r"column 'size' is infinite in row 451 \(line 452\); leave"
    ):
        train_files("t.csv", n_rows=n_rows, n_sample=20, **QUICK)
    frame["size"], frame["y"] = 1.5, frame["y"].astype(object)
    frame.loc[500, "y"] = None
    frame.to_csv("t.csv", index=False)
    with pytest.raises(DataError, match=r"'y' is missing in row 501 \(line 502\); remove"):
        train_files("t.csv", n_rows=n_rows, **QUICK)


@pytest.mark.parametrize("is_class", [False, True])
def test_a_bag_has_the_network_that_is_alone_and_others(here, is_class):
    frame = table()
    if is_class:
        frame["y"] = np.array(["a", "b", "c"])[np.clip(frame["y"], 0, 2).astype(int)]
    frame.to_csv("t.csv", index=False)
    alone = train_files("t.csv", **QUICK)
    bag = train_files("t.csv", members=3, **QUICK)
    networks = [member.network for member in bag.estimator_.members]
    weights = [network.coefs_[0].tobytes() for network in networks]
    assert weights[0] == alone.estimator_.coefs_[0].tobytes() and len(set(weights)) == 3
    assert bag.report_["networks"] == 3 and bag.report_["epochs"] == 9 == bag.n_iter_
    losses = [member.score for member in bag.estimator_.members]
    assert 0 < bag.estimator_.loss <= np.mean(losses) < np.inf
    save_model(bag, "m.fastmlp")
    again = load_model("m.fastmlp")
    rest = read_for(again, "t.csv")
    assert again.predict(rest).tolist() == bag.predict(rest).tolist()


def test_a_threshold_that_is_a_number_decides(here):
    frame = table()
    frame["y"] = np.where(frame["y"] > frame["y"].median(), "yes", "no")
    frame.to_csv("t.csv", index=False)
    model = train_files("t.csv", threshold=0.9, members=2, **QUICK)
    rest = read_for(model, "t.csv")
    is_sure = model.predict_proba(rest)[:, 1] > 0.9
    assert (model.predict(rest) == np.where(is_sure, "yes", "no")).all()
    assert (is_sure != (model.predict_proba(rest)[:, 1] > 0.5)).any()
