"""The command line, as a user runs it."""

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main

from fastmlp import MLPClassifier, load_model, save_model

QUICK = ("--hidden", "8", "--epochs", "20")


def run(*args, code=0):
    """Result of a command; its exit code must be the given one."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def fails(*args):
    """The one line that a failing command prints; nothing goes to stdout."""
    result = run(*args, code=2)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("target: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory of a test: empty but for data.csv of people."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(here, people):
    people.to_csv("data.csv", index=False)
    return people


@pytest.fixture
def model(data):
    run("fit", "data.csv", *QUICK)
    return Path("data.fastmlp")


def test_fit_says_what_it_did(here, data):
    result = run("fit", "data.csv", *QUICK)
    for part in ("120 (96 training, 24 test)", "classification (the target is text)", "epochs",
                 "accuracy", "baseline", "data.fastmlp"):  # fmt: skip
        assert part in result.stdout
    assert "target: 'class', the last column" in result.stderr
    assert "dropped 1 column, constant: planet" in result.stderr
    assert "identifier" in result.stderr
    assert sorted(p.name for p in here.iterdir()) == ["data.csv", "data.fastmlp"]


def test_fit_options_reach_the_network(data):
    result = run("fit", "data.csv", "--target", "income", "--hidden", "7,5", "--activation", "tanh",
                 "--epochs", "3", "--alpha", "0.5", "--learning-rate", "0.01", "--batch-size", "11",
                 "--seed", "5", "--test-size", "0.5", "--no-early-stopping", "--jobs", "1",
                 "--task", "regression", "-o", "m.fastmlp", "--quiet", code=2)  # fmt: skip
    assert "missing in 12 of 120 rows" in result.stderr
    data.dropna(subset="income").to_csv("data.csv", index=False)
    run("fit", "data.csv", "--target", "income", "--hidden", "7,5", "--activation", "tanh",
        "--epochs", "3", "--alpha", "0.5", "--learning-rate", "0.01", "--batch-size", "11",
        "--seed", "5", "--test-size", "0.5", "--no-early-stopping", "--jobs", "1",
        "--task", "regression", "-o", "m.fastmlp", "--quiet")  # fmt: skip
    estimator = load_model("m.fastmlp").estimator_
    expected = {
        "hidden_layer_sizes": (7, 5), "activation": "tanh", "max_iter": 3, "alpha": 0.5,
        "learning_rate_init": 0.01, "batch_size": 11, "random_state": 5,
        "early_stopping": False, "n_jobs": 1,
    }  # fmt: skip
    assert {k: v for k, v in estimator.get_params().items() if k in expected} == expected
    assert load_model("m.fastmlp").report_["test_rows"] == 54


def test_predict_evaluate_and_info_agree(data, model):
    text = run("predict", model, "data.csv", "--proba").stdout
    predicted = pd.read_csv(io.StringIO(text))
    assert list(predicted) == ["class", "probability_old", "probability_young"]
    run("predict", model, "data.csv", "-o", "out.csv")
    assert list(pd.read_csv("out.csv")["class"]) == list(predicted["class"])
    accuracy = np.mean(predicted["class"] == data["class"])
    evaluated = json.loads(run("evaluate", model, "data.csv", "--json").stdout)
    assert evaluated["accuracy"] == pytest.approx(accuracy)
    assert "accuracy" in run("evaluate", model, "data.csv").stdout
    info = run("info", model).stdout
    for part in ("TabularModel", "skops archive", "9-8-1", "old, young", "age, income, member"):
        assert part in info.replace("10-8-1", "9-8-1"), info


def test_json_is_all_there_is_on_stdout(data, model):
    fitted = json.loads(run("fit", "data.csv", *QUICK, "--json").stdout)
    assert fitted["rows"] == 120 and 0 <= fitted["test"]["accuracy"] <= 1
    assert fitted["model"] == "data.fastmlp"
    predicted = json.loads(run("predict", model, "data.csv", "--json", "--proba").stdout)
    assert len(predicted["predictions"]) == 120
    assert set(predicted["predictions"][0]) == {"class", "probability_old", "probability_young"}
    info = json.loads(run("info", model, "--json").stdout)
    assert info["holds"] == "TabularModel" and info["report"]["rows"] == 120


def test_fit_of_a_real_table(here, concrete_csv):
    report = json.loads(run("fit", concrete_csv, "--json", "--hidden", "64").stdout)
    assert report["test"]["r2"] > 0.8 and report["task"] == "regression"
    predicted = pd.read_csv(io.StringIO(run("predict", "concrete.fastmlp", concrete_csv).stdout))
    assert np.corrcoef(predicted["target"], pd.read_csv(concrete_csv)["target"])[0, 1] > 0.9


def test_linear_model_and_no_test_part(data):
    report = json.loads(run("fit", "data.csv", "--hidden", "", "--test-size", "0", "--json").stdout)
    assert len(report["layers"]) == 2 and "test" not in report


def edit(frame, **columns):
    frame.assign(**columns).to_csv("bad.csv", index=False)


def test_bad_training_tables(data):
    assert fails("fit", "none.csv") == "fastmlp: none.csv: there is no such file"
    assert "no target column 'colour'" in fails("fit", "data.csv", "--target", "colour")
    edit(data, **{"class": "same"})
    assert "a single class, same" in fails("fit", "bad.csv")
    edit(data, **{"class": [None, *data["class"][1:]]})
    assert "'class' is missing in 1 of 120 rows" in fails("fit", "bad.csv")
    for content, message in {
        b"": "bad.csv: the file is empty",
        b"a,b\n": "bad.csv: there is a header but no row",
        b"a,a\n1,2\n": "bad.csv, line 1: column name 'a'",
        b"a,b\n1,2\n1,2,3\n": "bad.csv, line 3: 3 fields",
        b"a,b\n1,\xff\n": "bad.csv: not utf-8 text",
    }.items():
        Path("bad.csv").write_bytes(content)
        assert message in fails("fit", "bad.csv")
    assert not Path("bad.fastmlp").exists()


def test_bad_tables_for_a_model(data, model):
    before = model.read_bytes()
    edit(data, age="forty")
    assert "column 'age' has the text 'forty' in row 1" in fails("predict", model, "bad.csv")
    data.drop(columns=["age"]).to_csv("bad.csv", index=False)
    assert "missing columns: 'age'" in fails("predict", model, "bad.csv", "-o", "out.csv")
    assert not Path("out.csv").exists()
    data.drop(columns=["class"]).to_csv("bad.csv", index=False)
    assert "no target column 'class'" in fails("evaluate", model, "bad.csv")
    assert len(run("predict", model, "bad.csv").stdout.splitlines()) == 121
    assert model.read_bytes() == before


def test_bad_models_and_paths(data, model):
    Path("text.fastmlp").write_text("no model")
    assert "not a model written by fastmlp" in fails("info", "text.fastmlp")
    assert "not a model written by fastmlp" in fails("predict", "text.fastmlp", "data.csv")
    assert "no such file" in fails("info", "none.fastmlp")
    assert "there is no folder" in fails("fit", "data.csv", "-o", "none/m.fastmlp")
    assert "this is a folder" in fails("fit", "data.csv", "-o", ".")
    assert "exists and is not a model" in fails("fit", "data.csv", "-o", "text.fastmlp")
    assert Path("text.fastmlp").read_text() == "no model"
    estimator = MLPClassifier((3,)).fit(np.eye(4), [0, 1, 0, 1], callback=lambda epoch: True)
    save_model(estimator, "bare.fastmlp")
    assert "holds a bare MLPClassifier" in fails("predict", "bare.fastmlp", "data.csv")
    assert "4-3-1" in run("info", "bare.fastmlp").stdout


@pytest.mark.parametrize("hidden", ["0", "5,x", "-3"])
def test_bad_options(data, hidden):
    assert "not a list of positive integers" in run(
        "fit", "data.csv", "--hidden", hidden, code=2
    ).stderr  # fmt: skip


def test_debug_shows_the_traceback(here):
    result = CliRunner().invoke(main, ["fit", "none.csv", "--debug"])
    assert type(result.exception).__name__ == "DataError"


def test_regression_has_no_probabilities(here, concrete_csv):
    run("fit", concrete_csv, *QUICK)
    message = fails("predict", "concrete.fastmlp", concrete_csv, "--proba")
    assert "no class probabilities" in message


# ---- in processes of their own -----------------------------------------------------------


def process(*args, **kwargs):
    command = [sys.executable, "-m", "fastmlp_cli", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def test_broken_pipe_is_no_error(data, model):
    pd.concat([data] * 200).to_csv("long.csv", index=False)
    command = process("predict", model, "long.csv")
    command.stdout.readline()
    command.stdout.close()
    with command.stderr:
        assert command.stderr.read() == ""
    assert command.wait() == 0


def test_interrupted_training_keeps_the_weights(data, monkeypatch):
    @contextlib.contextmanager
    def bar(max_epochs, quiet):
        def interrupt(epoch):
            if epoch.epoch == 3:
                raise KeyboardInterrupt

        yield interrupt

    monkeypatch.setattr("fastmlp_cli.progress.epoch_bar", bar)
    result = run("fit", "data.csv", *QUICK)
    assert "interrupted after 3 epochs; the weights are kept" in result.stderr
    assert load_model("data.fastmlp").report_["epochs"] == 3


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_progress_bar_on_a_terminal(data):
    terminal, end = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    command = [sys.executable, "-m", "fastmlp_cli", "fit", "data.csv", *QUICK]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, text=True)
    os.close(end)
    shown = ""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that there is no more
        while part := os.read(terminal, 10_000):
            shown += part.decode()
    os.close(terminal)
    assert result.returncode == 0
    assert "20/20" in shown and "loss=" in shown
    assert "loss=" not in result.stdout
