"""The command line, as a user runs it."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, fails, on_terminal, run

from fastmlp import MLPClassifier, TabularRegressor, load_model, save_model


def test_fit_says_what_it_did(here, data):
    result = run("fit", "data.csv", *QUICK)
    for part in ("120 (96 training, 24 test)", "classification (the target is text)", "epochs",
                 "accuracy", "baseline", "data.fastmlp"):  # fmt: skip
        assert part in result.stdout
    assert "target: 'class', the last column" in result.stderr
    assert "dropped 1 column, constant: planet" in result.stderr
    assert "identifier" in result.stderr
    assert "task: classification, the target is text (choose with --task)" in result.stderr
    assert "stopped at the limit of 20 epochs" in result.stderr
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


def test_any_parameter_can_be_set(data):
    settings = ("--activation", "tanh,gelu", "--hidden", "6,5", "--epochs", "3")
    values = ("dropout=[0.1, 0]", "lr_schedule=cosine", "clip_norm=1", "monitor=True")
    run("fit", "data.csv", *settings, *(part for v in values for part in ("--set", v)))
    params = load_model("data.fastmlp").estimator_.get_params()
    assert params["activation"] == ("tanh", "gelu") and params["dropout"] == [0.1, 0]
    assert params["lr_schedule"] == "cosine" and params["clip_norm"] == 1
    assert params["monitor"] is True


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
    for part in (
        "TabularClassifier",
        "skops archive",
        "9-8-1",
        "old, young",
        "age, income, member",
    ):
        assert part in info.replace("10-8-1", "9-8-1"), info


def test_json_is_all_there_is_on_stdout(data, model):
    fitted = json.loads(run("fit", "data.csv", *QUICK, "--json").stdout)
    assert fitted["rows"] == 120 and 0 <= fitted["test"]["accuracy"] <= 1
    assert fitted["model"] == "data.fastmlp"
    predicted = json.loads(run("predict", model, "data.csv", "--json", "--proba").stdout)
    assert len(predicted["predictions"]) == 120
    assert set(predicted["predictions"][0]) == {"class", "probability_old", "probability_young"}
    info = json.loads(run("info", model, "--json").stdout)
    assert info["holds"] == "TabularClassifier" and info["report"]["rows"] == 120


def test_fit_of_a_real_table(here, concrete_csv):
    report = json.loads(run("fit", concrete_csv, "--json", "--hidden", "64").stdout)
    assert report["test"]["r2"] > 0.8 and report["task"] == "regression"
    predicted = pd.read_csv(io.StringIO(run("predict", "concrete.fastmlp", concrete_csv).stdout))
    assert np.corrcoef(predicted["target"], pd.read_csv(concrete_csv)["target"])[0, 1] > 0.9


def test_export(data, model):
    rt = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert "out.onnx, " in run("export", model, "out.onnx").stdout
    size = json.loads(run("export", model, "out.onnx", "--json").stdout)["bytes"]
    assert size == Path("out.onnx").stat().st_size
    inputs = {i.name: i.type for i in rt.InferenceSession("out.onnx").get_inputs()}
    assert inputs["age"] == "tensor(double)" and inputs["city"] == "tensor(string)"


def test_bad_exports(data, model):
    assert "no such file" in fails("export", "none.fastmlp", "out.onnx")
    assert "not a model written by fastmlp" in fails("export", "data.csv", "out.onnx")
    for path in (model, "data.csv"):
        before = Path(path).read_bytes()
        assert "exists and is not an ONNX file" in fails("export", model, path)
        assert Path(path).read_bytes() == before
    assert "no/out.onnx" in fails("export", model, "no/out.onnx")
    assert not Path("out.onnx").exists() and load_model(model)


def test_class_weight(data):
    run("fit", "data.csv", *QUICK, "--target", "member", "--class-weight", "balanced")
    assert load_model("data.fastmlp").class_weight == "balanced"
    message = fails("fit", "data.csv", "--target", "age", "--class-weight", "balanced")
    assert "class weights are for classification" in message
    assert "'even' is not" in run("fit", "data.csv", "--class-weight", "even", code=2).stderr


def test_device(data):
    from fastmlp.engines.cuda.support import why_not

    run("fit", "data.csv", *QUICK, "--device", "auto")
    assert load_model("data.fastmlp").estimator_.device == "auto"
    if why_not():
        assert "--device cuda cannot be used: " in fails("fit", "data.csv", "--device", "cuda")


def test_doctor():
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["numba"] and facts["problems"] == [] and "cores" in facts["processor"]
    assert "GPU" in run("doctor").stdout


def test_doctor_fails_where_there_is_a_problem(monkeypatch):
    found = ({"fastmlp": "1"}, ["numba cannot be imported"])
    monkeypatch.setattr("fastmlp.tools.doctor.examine", lambda: found)
    result = run("doctor", code=1)
    assert result.stdout.endswith("problem: numba cannot be imported\n") and not result.stderr
    shown = json.loads(run("doctor", "--json", code=1).stdout)
    assert shown == {"fastmlp": "1", "problems": found[1]}


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
        b"\xc3\xa4,b\n1,\xff\n": "bad.csv: not utf-8 text",
        b"a,b\n1,2.5\n2,2.5\n": "bad.csv: target column 'b' has a single value, 2.5",
    }.items():
        Path("bad.csv").write_bytes(content)
        assert message in fails("fit", "bad.csv")
    assert not Path("bad.fastmlp").exists()


def test_bad_tables_for_a_model(data, model):
    before = model.read_bytes()
    edit(data, age="forty")
    message = fails("predict", model, "bad.csv")
    assert "bad.csv: column 'age' has the text 'forty' in row 1" in message
    assert "name marks of missing values with --na)" in message
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


def test_only_models_are_overwritten(data, model):
    with zipfile.ZipFile("thesis.docx", "w") as archive:
        archive.writestr("text.xml", "years of work")
    before = Path("thesis.docx").read_bytes()
    assert "is not a model" in fails("fit", "data.csv", "-o", "thesis.docx")
    assert Path("thesis.docx").read_bytes() == before
    assert "is not a model" in fails("fit", "data.csv", "-o", "data.csv")
    run("fit", "data.csv", *QUICK, "-o", model)
    Path("empty").touch()
    run("fit", "data.csv", *QUICK, "-o", "empty")


def test_predictions_spare_what_they_are_made_of(data, model):
    for source in (Path("data.csv"), model):
        before = source.read_bytes()
        assert "this is read, too" in fails("predict", model, "data.csv", "-o", source)
        assert source.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_not_replaced(data, model):
    os.mkfifo("pipe")
    assert "no ordinary file" in fails("predict", model, "data.csv", "-o", "pipe")
    assert "no ordinary file" in fails("fit", "data.csv", "-o", "pipe")
    assert Path("pipe").is_fifo()


def test_failed_fit_leaves_the_old_model(data, model, monkeypatch):
    before = model.read_bytes()

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skops.io.dump", fail)
    assert "No space left" in fails("fit", "data.csv", *QUICK, "--quiet")
    assert model.read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "data.fastmlp"]


def test_info_says_why_columns_were_dropped(data, model):
    info = run("info", model).stdout
    assert "planet (constant)" in info and "nothing (all values are missing)" in info


def test_a_learning_rate_and_its_schedule(data):
    """Each name means what it means for the estimators, and nothing can be given twice."""
    run("fit", "data.csv", *QUICK, "--learning-rate", "0.01", "--set", "solver=sgd",
        "--set", "learning_rate=adaptive")  # fmt: skip
    model = load_model("data.fastmlp")
    assert (model.learning_rate, model.learning_rate_init) == ("adaptive", 0.01)
    assert model.estimator_.learning_rate == "adaptive"
    assert model.estimator_.learning_rate_init == 0.01
    twice = ("--learning-rate", "0.01", "--set", "learning_rate_init=0.1")
    message = run("fit", "data.csv", *twice, code=2).stderr
    assert "'learning_rate_init' is set by --learning-rate" in message
    for name, flag in {"max_iter": "--epochs", "alpha": "--alpha", "task": "--task"}.items():
        message = run("fit", "data.csv", "--set", f"{name}=1", code=2).stderr
        assert f"'{name}' is set by {flag}" in message
    for name in ("frame", "callback"):
        message = run("fit", "data.csv", "--set", f"{name}=1", code=2).stderr
        assert f"'{name}' is no parameter of a model" in message


def test_a_model_that_was_trained_in_python(data, here):
    frame = data.dropna(subset="income")
    frame.to_csv("data.csv", index=False)
    model = TabularRegressor(max_iter=200, hidden_layer_sizes=(8,))
    model.fit(frame.drop(columns="income"), frame["income"], callback=lambda e: e.epoch == 5)
    save_model(model, "own.fastmlp")
    predicted = pd.read_csv(io.StringIO(run("predict", "own.fastmlp", "data.csv").stdout))
    np.testing.assert_allclose(predicted["income"], model.predict(frame))
    assert "R2" in run("evaluate", "own.fastmlp", "data.csv").stdout
    assert "age, member" in run("info", "own.fastmlp").stdout
    model.fit(frame.drop(columns="income"), list(frame["income"]), callback=lambda e: True)
    save_model(model, "own.fastmlp")
    assert run("predict", "own.fastmlp", "data.csv").stdout.startswith("prediction\n")
    assert "no target column None" in fails("evaluate", "own.fastmlp", "data.csv")


def test_what_is_loaded_predicts_what_the_command_prints(data, model):
    printed = pd.read_csv(io.StringIO(run("predict", model, "data.csv", "--proba").stdout))
    loaded = load_model(model)
    assert list(loaded.predict(data)) == list(printed["class"])
    np.testing.assert_allclose(
        loaded.predict_proba(data), printed[["probability_old", "probability_young"]], atol=1e-6
    )


def test_fractions_are_no_classes(here, concrete_csv):
    message = fails("fit", concrete_csv, "--task", "classification")
    assert "has fractions" in message and "--task regression" in message


def test_marks_of_missing_values_are_remembered(data):
    data["age"] = data["age"].astype(object)
    data.loc[[3, 5], "age"] = "?"
    data.to_csv("data.csv", index=False)
    assert "say so with --na '?'" in run("fit", "data.csv", *QUICK).stderr
    run("fit", "data.csv", *QUICK, "--na", "?", "--quiet")
    assert load_model("data.fastmlp").columns_[0]["kind"] == "numeric"
    assert len(run("predict", "data.fastmlp", "data.csv").stdout.splitlines()) == 121


def test_codes_stay_text(data, model):
    data["job"] = ["007", "1.50", "x"] * 40
    data.to_csv("data.csv", index=False)
    run("fit", "data.csv", *QUICK)
    predicted = run("predict", model, "data.csv", "--proba").stdout.splitlines()
    data[data["job"] == "007"].to_csv("agents.csv", index=False)
    assert run("predict", model, "agents.csv", "--proba").stdout.splitlines()[1:] == [
        line for line, job in zip(predicted[1:], data["job"], strict=True) if job == "007"
    ]


def test_other_separators_and_compressed_files(data):
    data.to_csv("data.tsv.gz", index=False, sep="\t")
    for separator in ("tab", r"\t", "\t"):
        run("fit", "data.tsv.gz", *QUICK, "--sep", separator)
    assert Path("data.fastmlp").exists()
    assert "not a single character" in run("fit", "data.csv", "--sep", "", code=2).stderr


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
    def bar(quiet):
        def interrupt(epoch):
            if epoch.epoch == 3:
                raise KeyboardInterrupt

        yield interrupt

    monkeypatch.setattr("fastmlp_cli.progress.progress_bar", bar)
    result = run("fit", "data.csv", *QUICK)
    assert "interrupted after 3 epochs; the weights are kept" in result.stderr
    assert load_model("data.fastmlp").report_["epochs"] == 3


def test_interrupted_before_the_first_epoch_nothing_is_written(data, model, monkeypatch):
    before = model.read_bytes()

    def interrupted(*args, **kwargs):
        return SimpleNamespace(report_={"interrupted": True, "epochs": 0})

    monkeypatch.setattr("fastmlp.tabular.train.train_table", interrupted)
    result = run("fit", "data.csv", code=130)
    assert result.stderr.splitlines()[-1] == "fastmlp: interrupted"
    assert model.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_control_c_keeps_the_weights(here):
    # Noise can be learned by heart for longer than it takes to press two keys.
    noise = np.random.default_rng(0).normal(size=(4000, 30)).round(6)
    pd.DataFrame(noise).add_prefix("x").to_csv("noise.csv", index=False)
    options = ["--hidden", "300,300", "--epochs", "100000", "--learning-rate", "0.0001"]
    code, table, shown = on_terminal(
        "fit", "noise.csv", "--no-early-stopping", *options, number=signal.SIGINT
    )
    assert code == 0, shown
    epochs = int(re.search(r"interrupted after (\d+) epochs; the weights are kept", shown)[1])
    assert load_model("noise.fastmlp").report_["epochs"] == epochs
    assert "R2" in table and "Traceback" not in shown


def test_rows_too_long_are_refused_whatever_the_filter_of_warnings(here):
    Path("long.csv").write_text("a,b\n1,2,3\n2,3,4\n3,4,5\n")
    command = process("fit", "long.csv")
    out, err = command.communicate()
    assert command.returncode == 2 and out == ""
    assert err.startswith("fastmlp: long.csv, line 2: 3 fields where the header has 2")
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_progress_bar_on_a_terminal(data):
    code, out, shown = on_terminal("fit", "data.csv", *QUICK)
    assert code == 0
    assert "20/20" in shown and "loss=" in shown
    assert "loss=" not in out


def test_refit_trains_on_all_rows(data):
    result = run("fit", "data.csv", *QUICK, "--refit")
    assert "120 (96 training, 24 test; then all were trained on)" in result.stdout
    assert "baseline" in result.stdout
    assert load_model("data.fastmlp").report_["refit_rows"] == 120
    assert "trained on all 120" in run("info", "data.fastmlp").stdout
    Path("data.fastmlp").unlink()
    refused = {
        "--test-size 0": "--test-size 0 trains on all rows",
        "--checkpoint c": "--checkpoint is",
    }
    for options, message in refused.items():
        assert message in fails("fit", "data.csv", *QUICK, "--refit", *options.split())
    assert not Path("data.fastmlp").exists() and not Path("c").exists()
