"""The comparison of models on real tables: its splits, figures, ranks, cache and report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

pytestmark = pytest.mark.usefixtures("checkout")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def data():
    from benchmarks import quality_data

    return quality_data


@pytest.fixture
def report():
    from benchmarks import quality_report

    return quality_report


def split_of(data, task, y, n_classes):
    nothing = pd.DataFrame(index=range(len(y)))
    return data.Split(task, nothing, y, nothing, y, n_classes)


def test_figures_of_two_classes_are_scikit_learns(data):
    generator = np.random.default_rng(0)
    y, p = generator.integers(0, 2, 200), generator.random(200)
    found = data.judge(np.column_stack([1 - p, p]), split_of(data, "classification", y, 2))
    assert found["error"] == pytest.approx(1 - roc_auc_score(y, p))
    assert found["log_loss"] == pytest.approx(log_loss(y, p))
    assert found["accuracy"] == pytest.approx(np.mean((p > 0.5) == y))
    assert found["brier"] == pytest.approx(np.mean((p - y) ** 2))


def test_figures_of_more_classes_are_scikit_learns(data):
    generator = np.random.default_rng(0)
    y, p = generator.integers(0, 3, 200), generator.dirichlet([1, 1, 1], 200)
    found = data.judge(p, split_of(data, "classification", y, 4 - 1))
    assert found["error"] == found["log_loss"] == pytest.approx(log_loss(y, p))
    assert found["brier"] == pytest.approx(np.mean(np.sum((p - np.eye(3)[y]) ** 2, axis=1)))


def test_figures_of_regression(data):
    generator = np.random.default_rng(0)
    y = generator.normal(3, 5, 100)
    predicted = y + generator.normal(size=100)
    found = data.judge(predicted, split_of(data, "regression", y, 0))
    assert found["error"] == pytest.approx(np.sqrt(mean_squared_error(y, predicted)) / np.std(y))
    assert found["r2"] == pytest.approx(1 - found["error"] ** 2)


def test_calibration_error_of_what_is_known(data):
    y = np.repeat([0, 1], [80, 20])
    assert data.calibration_error(np.eye(2)[y], y) == 0
    # A fifth happens of what is said with one half; within bins that differs by chance only.
    shuffled = np.random.default_rng(0).permutation(y)
    assert 0.3 - 1e-9 <= data.calibration_error(np.full((100, 2), 0.5), shuffled) < 0.35
    assert data.calibration_error(np.full((3000, 2), 0.5), np.tile([0, 1], 1500)) == 0
    # Three classes: the likeliest is said with .8, and is so for one half of the rows.
    said = np.tile([0.8, 0.1, 0.1], (1500, 1))
    assert data.calibration_error(said, np.tile([0, 1], 750)) == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("wrong", [np.full((4, 2), np.nan), np.ones((4, 3)) / 3])
def test_predictions_that_cannot_be_judged(data, wrong):
    with pytest.raises(ValueError, match=r"not finite|shape"):
        data.judge(wrong, split_of(data, "classification", np.array([0, 1, 0, 1]), 2))


def test_a_fifth_of_each_class_judges(data):
    y = pd.Series(np.repeat(["a", "b", "c", "d"], [700, 250, 49, 1]))
    frame = pd.DataFrame({"row": np.arange(1000)})
    made = data.split(frame, y, "classification", 0, 10_000)
    assert sorted([*made.train["row"], *made.test["row"]]) == list(range(1000))
    assert np.bincount(made.test_y).tolist() == [140, 50, 10]
    assert np.bincount(made.train_y).tolist() == [560, 200, 39, 1] and made.n_classes == 4
    again, other = (data.split(frame, y, "classification", s, 10_000) for s in (0, 1))
    assert again.train.equals(made.train) and not other.train.equals(made.train)


def test_rows_are_left_out_by_class(data):
    y = pd.Series(np.repeat(["a", "b", "c"], [60_000, 20_000, 3]))
    made = data.split(pd.DataFrame({"row": range(80_003)}), y, "classification", 0, 1000)
    assert len(made.train) == 1000 and set(made.train_y) >= set(made.test_y)
    assert np.mean(made.train_y == 0) == pytest.approx(0.75, abs=0.01)
    assert np.mean(made.test_y == 0) == pytest.approx(0.75, abs=0.01)


def test_tables_of_a_folder(data, tmp_path):
    (tmp_path / "one.csv").write_text("a,b,c\n1,2,x\n3,4,y\n5,,\n")
    pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]}).to_csv(tmp_path / "two.csv.gz")
    (tmp_path / "vehicle.csv").write_text("a,target\n1,2\n")
    (tmp_path / "notes.txt").write_text("no table")
    (tmp_path / "targets.csv").write_text("name,target,task,kept\none,a,classification,yes\n")
    tables = data.find_tables(tmp_path)
    assert list(tables) == ["one", "two", "vehicle"] and tables["vehicle"].kept
    _, y, task = data.read(tables["one"])
    assert (tables["one"].kept, y.name, task) == (True, "a", "classification")
    _, y, task = data.read(tables["two"])
    assert (y.name, task) == ("b", "regression")
    _, y, task = data.read(data.Table("one", tables["one"].path))
    assert (y.tolist(), task) == (["x", "y"], "classification")
    with pytest.raises(ValueError, match="no column 'z'"):
        data.read(data.Table("one", tables["one"].path, "z"))


def results(errors):
    """Results by model and table from a matrix; None is missing, inf a failure."""
    found = {}
    for i, row in enumerate(errors):
        for j, error in enumerate(row):
            if error is not None:
                value = {"error": error, "seconds": 1.0, "cpu_seconds": 2.0, "predict_seconds": 0.1}
                value |= {"task": "regression", "n_train": 9, "n_columns": 3, "n_classes": 0}
                found["abc"[j], f"t{i}", 0] = {"failed": "no"} if np.isinf(error) else value
    return found


def test_ranks_ratios_and_signs(report):
    found = results([[1.0, 2.0, 4.0], [3.0, 1.0, np.inf], [1.0, 1.0, 2.0], [1.0, None, 1.0]])
    means = report.averages(found, list("abc"))
    tables, errors, left_out = report.compared(means, list("abc"))
    assert (tables, left_out) == (["t0", "t1", "t2"], ["t3"])
    mean_ranks, wins = report.ranks(errors)
    assert mean_ranks == pytest.approx([(1 + 2 + 1.5) / 3, (2 + 1 + 1.5) / 3, 3])
    assert wins.tolist() == [2, 2, 0]
    filled = report.filled(errors)
    assert filled[1].tolist() == [3, 1, 3]  # a failure counts as the worst of the table
    logs = np.log(filled[:, 0] / filled.min(axis=1))
    assert report.geometric(logs) == pytest.approx(3 ** (1 / 3))
    assert report.geometric(logs, 0.4) == pytest.approx(np.exp(0.4 / 3))


def test_sign_test_is_scipys(report):
    ours = np.arange(20.0)
    theirs = ours + np.where(np.arange(20) < 15, 1, -1)
    theirs[0] = ours[0]
    assert report.sign_test(ours, theirs) == (14, 19, binomtest(14, 19).pvalue)
    assert report.sign_test(ours, ours) == (0, 0, 1.0)


def test_seeds_are_averaged_and_one_failure_is_one(report):
    found = {
        ("a", "t", 0): {"error": 1.0, "task": "regression"},
        ("a", "t", 1): {"error": 3.0, "task": "regression"},
        ("b", "t", 0): {"error": 1.0, "task": "regression"},
        ("b", "t", 1): {"failed": "no memory"},
        ("c", "t", 0): {"error": 1.0, "task": "regression"},
    }
    means = report.averages(found, list("abc"))
    assert means["a", "t"]["error"] == 2 and np.isinf(means["b", "t"]["error"])
    assert ("c", "t") not in means


def test_the_report_names_failures_gaps_and_other_sources(report):
    found = results([[1.0, 2.0, np.inf], [1.0, 2.0, 1.5], [1.0, None, 1.0]])
    found["a", "t0", 0]["sources"] = "old"
    text = report.report(found, list("abc"), "a", most_rows=10, sources="new")
    assert "c failed on t0 (seed 0): no" in text
    assert "not all models have run: t2" in text
    assert "a was measured with another state" in text
    assert "| b | 2 of 2 | 0.500 | 0.500 | 0.670 | x0.50 (t0) | - | - | x1.00 |" in text
    assert "| t0 | regression | 9 | 3 | **1.0000** | 2.0000 | failed |" in text


def test_two_cheap_models_on_two_tables(tmp_path, monkeypatch):
    from benchmarks import quality

    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(60, 2)), columns=["a", "b"])
    frame["word"] = generator.choice(["x", "y", None], 60)
    frame.loc[::7, "a"] = np.nan
    folder = tmp_path / "tables"
    folder.mkdir()
    y = frame["b"] + generator.normal(size=60)
    frame.assign(t=y).to_csv(folder / "numbers.csv", index=False)
    frame.assign(t=np.where(y > 0, "yes", "no")).to_csv(folder / "classes.csv", index=False)
    command = [str(folder), "--models", "linear,hgb", "--cache", str(tmp_path / "cache")]
    command += ["--results", str(tmp_path / "quality.md"), "--most-rows", "40", "--threads", "1"]
    first = CliRunner().invoke(quality.main, command)
    assert first.exit_code == 0, first.output
    text = (tmp_path / "quality.md").read_text()
    assert "2 tables, 2 models, seeds 0; at most 40" in text and "failed" not in text
    kept = sorted((tmp_path / "cache").rglob("*.json"))
    assert len(kept) == 4
    result = json.loads(kept[0].read_text())
    assert result["n_train"] == 40 and result["n_classes"] == 2 and result["cpu_seconds"] >= 0
    monkeypatch.setattr(quality, "run_job", None)  # all is in the cache
    assert CliRunner().invoke(quality.main, command).exit_code == 0


def test_a_model_that_cannot_be_fitted_is_named(tmp_path):
    from benchmarks import quality

    (tmp_path / "t.csv").write_text("a,t\n" + "1,x\n" * 20)  # a single class
    command = [str(tmp_path), "--models", "linear", "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(quality.main, [*command, "--results", str(tmp_path / "quality.md")])
    assert done.exit_code == 0, done.output
    assert "linear failed on t (seed 0): ValueError" in (tmp_path / "quality.md").read_text()


def test_every_model_is_explained():
    from benchmarks import quality

    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert all(f"`{model}`" in text for model in quality.MODELS)
