"""``fastmlp tune``: what it prints and writes, and what it refuses."""

import csv
import json
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import fails, on_terminal, run
from fastmlp_cli.main import main
from fastmlp_cli.types import Duration

from fastmlp import load_model

pytest.importorskip("optuna")

SMALL = (
    "--set", "max_iter=10", "--set", "hidden_layer_sizes=[4]", "--folds", "1",
    "--search", "learning_rate_init=1e-3..1e-1:log",
)  # fmt: skip


def test_a_search_prints_the_best_and_writes_the_model(data):
    result = run("tune", "data.csv", "--trials", 4, *SMALL, "--csv", "trials.csv")
    assert result.stdout.startswith("trial  log loss  seconds  parameters\n")
    for part in ("defaults", "trials  ", "test    baseline", "4, ", "model     data.fastmlp"):
        assert part in result.stdout
    model = load_model("data.fastmlp")
    assert model.report_["test_rows"] > 0 and model.time_limit is None
    with open("trials.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 4 and {row["candidate"] for row in rows} == set("0123")
    assert {"score", "seconds", "learning_rate_init", "error"} <= set(rows[0])
    run("predict", "data.fastmlp", "data.csv", "-o", "predictions.csv")


def test_json(data):
    result = run("tune", "data.csv", "--trials", 3, *SMALL, "--json", "--metric", "accuracy")
    found = json.loads(result.stdout)
    assert found["metric"] == "accuracy" and len(found["trials"]) == 3 and found["folds"] == 1
    assert found["trials"][0]["score"] == found["best_score"]
    assert {"test", "baseline", "best_params", "importances", "model"} <= set(found)


def test_quiet(data):
    assert run("tune", "data.csv", "--trials", 2, *SMALL, "--quiet").stderr == ""


def test_the_test_rows_are_those_of_fit_and_no_candidate_sees_them(data, monkeypatch):
    from fastmlp.search import tables

    seen, search = [], tables.search

    def noted(estimator, X, y, *args, **options):
        seen.append(X)
        return search(estimator, X, y, *args, **options)

    monkeypatch.setattr(tables, "search", noted)
    run("tune", "data.csv", "--trials", 2, *SMALL, "--seed", 3, "-o", "tuned.fastmlp")
    best = load_model("tuned.fastmlp")
    assert len(seen[0]) == best.report_["train_rows"] < len(data)
    run("fit", "data.csv", "--epochs", 10, "--hidden", 4, "--seed", 3)
    assert load_model("data.fastmlp").report_["baseline"] == best.report_["baseline"]


def test_a_study_goes_on(data):
    run("tune", "data.csv", "--trials", 3, *SMALL, "--study", "a.study")
    more = run("tune", "data.csv", "--trials", 5, *SMALL, "--study", "a.study", "--json")
    assert len(json.loads(more.stdout)["trials"]) == 5
    data.iloc[1:].to_csv("other.csv", index=False)
    line = fails("tune", "other.csv", "--trials", "5", *SMALL, "--study", "a.study")
    assert "a.study: this is the study of another search, in which the number of rows was" in line
    assert not Path("other.fastmlp").exists()


def test_a_file_of_a_space(data):
    Path("space.toml").write_text('alpha = "1e-6..1:log"\nactivation = ["relu", "tanh"]\n')
    result = run("tune", "data.csv", "--trials", 3, *SMALL, "--space", "space.toml", "--json")
    drawn = [r["params"] for r in json.loads(result.stdout)["trials"] if not r["start"]]
    assert all(set(d) == {"alpha", "activation", "learning_rate_init"} for d in drawn)
    line = fails("tune", "data.csv", *SMALL, "--search", "alpha=0..1", "--space", "space.toml")
    assert "'alpha' is searched by --search, and by space.toml" in line


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--search", "alpha"], "is not NAME=VALUES"),
        (["--search", "aplha=0..1"], "did you mean 'alpha'?"),
        (["--search", "dropout=0..2"], "'dropout' cannot be searched over 0..2: it must be"),
        (["--search", "alpha=-1..2:log"], "has no logarithm"),
        (["--search", "alpha=2..1"], "is empty"),
        (["--metric", "r2"], "--metric r2 is no metric"),
        (["--folds", "1000"], "too few for 1000 parts with --folds 1000"),
        (["--study", "data.csv"], "another file of this command"),
        (["--csv", "data.csv"], "another file of this command"),
        (["--study", "nowhere/a.study"], "there is no folder"),
        (["--space", "data.csv"], "is no TOML file"),
        (["--space", "none.toml"], "none.toml"),
        (["--set", "dropout=2"], "--set dropout=... must be"),
        (["--target", "none"], "none"),
    ],
)
def test_mistakes_are_one_line(data, args, words):
    assert words in fails("tune", "data.csv", "--trials", "2", *args)
    assert not Path("data.fastmlp").exists()


@pytest.mark.parametrize(
    "args", [["--time", "soon"], ["--time", "0s"], ["--trials", "0"], ["--set", "n_jobs=2"]]
)
def test_mistakes_in_options_show_the_usage(data, args):
    result = CliRunner().invoke(main, ["tune", "data.csv", *args])
    assert result.exit_code == 2 and f"Invalid value for '{args[0]}'" in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("90", 90), ("90s", 90), ("1h30m", 5400), ("0.5h", 1800), ("1m30", 90)],
)
def test_times(text, seconds):
    assert Duration().convert(text, None, None) == seconds


def test_a_terminal_shows_the_progress(data):
    code, _, shown = on_terminal("tune", "data.csv", "--trials", "3", *SMALL)
    assert code == 0
    assert "3/3 trials, best log loss" in shown and "training the best one on all rows" in shown


def test_ctrl_c_writes_the_best_so_far(data):
    """It comes when the line shows that there is one."""
    code, out, shown = on_terminal(
        "tune", "data.csv", "--time", "60", *SMALL, number=signal.SIGINT, when="best log loss"
    )
    assert code == 0 and "interrupted; the best candidate so far was trained" in shown
    assert "model     data.fastmlp" in out and Path("data.fastmlp").exists()
