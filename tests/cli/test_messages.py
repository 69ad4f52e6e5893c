"""What the command line says of mistakes: in its own words, and in one line."""

from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from commands import QUICK, fails, run
from fastmlp_cli.errors import in_shell_words
from fastmlp_cli.main import main

from fastmlp import TabularRegressor, train_files
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.train import train_table


def test_bad_settings(data):
    message = fails("fit", "data.csv", "--set", "dropp=1")
    assert message == (
        "fastmlp: there is no parameter 'dropp' for classification; did you mean --set dropout=...?"
    )
    message = fails("fit", "data.csv", "--activation", "tanh,relu,elu")
    assert message.startswith("fastmlp: --activation has 3 entries, and --hidden 2; give")
    result = run("fit", "data.csv", "--set", "learning_rate=0.01", code=2)
    assert "'learning_rate' is a schedule; the rate is set by --learning-rate" in result.stderr
    message = fails("fit", "data.csv", "--learning-rate", "0.01", "--set", "learning_rate=adaptive")
    assert "is a schedule for" in message and "--set solver=sgd" in message
    twice = ("--set", "l1=1", "--set", "l1=2")
    assert "'l1' is set twice" in run("fit", "data.csv", *twice, code=2).stderr
    assert "--set scoring=r2 cannot score" in fails(
        "fit", "data.csv", "--early-stopping", "--set", "scoring=r2"
    )
    assert "not NAME=VALUE" in run("fit", "data.csv", "--set", "dropout", code=2).stderr
    assert not Path("data.fastmlp").exists()


def test_internal_errors_are_one_line_too(data, monkeypatch):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("one\nand two")

    monkeypatch.setattr("fastmlp.tabular.train.train_table", fail)
    result = run("fit", "data.csv", "--quiet", code=1)
    expected = "fastmlp: internal error, ZeroDivisionError: one and two (see --debug)\n"
    assert result.stderr == expected and result.stdout == ""
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(main, ["fit", "data.csv", "--debug"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("use test_size=0", "use --test-size 0"),
        ("say so with na_values=['?', 'n a']", "say so with --na '?' --na 'n a'"),
        ("name encoding='latin-1' or separator=';'", "name --encoding latin-1 or --sep ';'"),
        ("use task='regression'; choose another `target`",
         "use --task regression; choose another --target"),
        ("leave batch_size='auto'; set `beta_1`",
         "leave the default of --batch-size; set --set beta_1=..."),
        ("hidden_layer_sizes=(128, 64), max_iter=9", "--hidden 128,64, --epochs 9"),
        ("early_stopping=True or early_stopping=False", "--early-stopping or --no-early-stopping"),
        ("Raise max_iter. Lower learning_rate_init, or n_jobs=2 random_state=1 device='auto'",
         "Raise --epochs. Lower --learning-rate, or --jobs 2 --seed 1 --device auto"),
        ("alpha must be", "--alpha must be"),
        ("init must be 'sklearn', got 'foo'", "--set init=... must be 'sklearn', got 'foo'"),
        ("it fell: activation has 3 entries", "it fell: --activation has 3 entries"),
        ("lower tol, or use early_stopping=True, dropout, a larger alpha",
         "lower --set tol=..., or use --early-stopping, --set dropout=..., a larger --alpha"),
        ("limit the gradient with clip_norm.", "limit the gradient with --set clip_norm=..."),
        ("(diagnose=False silences this.)", "(--set diagnose=false silences this.)"),
        ("set early_stopping=True, or pass eval_set=(X_validation, y_validation) to fit",
         "set --early-stopping"),
        ("check class_weight and sample_weight", "check --class-weight"),
        ("Increase 'validation_fraction' or", "Increase --set validation_fraction=... or"),
        ("lr_schedule must be 'step' or a schedule of fastmlp.schedules, got 'x'",
         "--set lr_schedule=... must be 'step', got 'x'"),
        ("scoring=None, activation='relu', dropout=[0.1, 0]",
         "--set scoring=null, --activation relu, --set 'dropout=[0.1, 0]'"),
        ("column 'batch_size' has 'of alpha=1'; it hasn't a class_weight",
         "column 'batch_size' has 'of alpha=1'; it hasn't a --class-weight"),
        ("target column 'a': the task and its target are no encoding", None),
        ("max_iter.csv: no such file; n_jobs/x.csv; 'dropout=0.1'", None),
        ("dropout=0.1; learning_rate='adaptive'",
         "--set dropout=0.1; --set learning_rate=adaptive"),
    ],
)  # fmt: skip
def test_messages_of_the_library_name_flags(said, shown):
    assert in_shell_words(said, main.commands["fit"]) == (shown or said)


def test_messages_name_only_flags_of_the_command():
    said = "na_values=['?'], task='regression'"
    assert in_shell_words(said, main.commands["predict"]) == "--na '?', task='regression'"


def test_every_parameter_with_a_flag_is_one_of_the_library():
    known = {*signature(TabularRegressor).parameters, "class_weight"}
    known |= {*signature(train_table).parameters, *signature(read_table).parameters}
    own = {"output", "further", "quiet", "as_json", "debug", "data"}
    own |= {"checkpoint_every", "resume", "config", "report_path", "stream", "cluster"}
    known |= {*signature(train_files).parameters}
    assert {option.name for option in main.commands["fit"].params} - own <= known


def test_errors_name_flags_and_no_parameter_that_has_one(data):
    Path("latin.csv").write_bytes(b"name,b\nZ\xc3\xbcrich,1\ncaf\xe9,2\n")
    assert "name its encoding, for example --encoding latin-1" in fails("fit", "latin.csv")
    message = fails("fit", "data.csv", "--target", "name")
    assert "choose another --target" in message
    data.iloc[[0, 119]].to_csv("few.csv", index=False)
    for target in ("age", "class"):
        assert "--test-size 0" in fails("fit", "few.csv", "--target", target)
    message = fails("fit", "data.csv", "--target", "class", "--task", "regression")
    assert "or use --task classification" in message
    message = fails("fit", "data.csv", "--set", "solver=gd", "--batch-size", "5")
    assert "leave the default of --batch-size" in message
    message = fails("fit", "data.csv", "--early-stopping", "--set", "swa_start=2")
    assert "and --early-stopping both decide" in message
    shown = run("fit", "data.csv", *QUICK, "--set", "lr_schedule=step", "--learning-rate", "1e-12")
    assert "learning_rate_init" not in shown.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--set validation_fraction=0", "--set validation_fraction=... must be above 0, got 0"),
        ("--set scoring=roc_auc --no-early-stopping",
         "--set scoring=roc_auc needs rows to score: set --early-stopping"),
        ("--set dropout=2", "--set dropout=... must be 'auto', a number of at least 0 and below 1"),
        ("--activation rlu", "--activation must be 'auto', 'elu', 'gelu', 'identity', "),
        ("--set init=foo", "--set init=... must be 'glorot_normal', 'glorot_uniform', "),
        ("--set scoring=foo", "--set scoring=foo is no score of scikit-learn; they are such"),
        ("--quantiles 0.1", "quantiles are of numbers, and this is a classification; see --task"),
        ("--set foo=1", "there is no parameter 'foo' for classification; TabularClassifier has"),
        ("--test-size 0.999", "120 rows are too few to hold out --test-size 0.999; use --test-si"),
        ("--set solver=sgd --learning-rate 1e30", "lower --learning-rate 1e+30, or limit the"),
    ],
)  # fmt: skip
def test_wrong_options_are_said_in_words_of_the_shell(data, options, message):
    shown = fails("fit", "data.csv", "--early-stopping", "--quiet", *options.split())
    assert message in shown and "training failed" not in shown and len(shown) < 260
    # The file is named where its rows are too few, and not where only an option is wrong.
    assert ("data.csv" in shown) is ("too few" in shown)


@pytest.mark.filterwarnings("always::fastmlp.TrainingWarning")
def test_advice_of_a_warning_is_in_words_of_the_shell(here):
    x = np.linspace(-1, 1, 60).round(3)
    pd.DataFrame({"x": x, "y": -np.abs(x)}).to_csv("data.csv", index=False)
    steps = ("--learning-rate", "100", "--set", "solver=sgd", "--set", "clip_norm=1")
    shown = run("fit", "data.csv", "--no-early-stopping", *QUICK, "--hidden", "32", *steps).stderr
    assert "use --set init=he_uniform, or --activation leaky_relu" in shown
    assert "(--set diagnose=false silences this.)" in shown


def test_messages_on_a_row_name_its_line(data, model):
    data.loc[7, "age"] = 1
    text = data.to_csv(index=False).splitlines()
    text[8] = text[8].replace("1", "'in row 5'", 1)
    Path("bad.csv").write_text("# a comment\n" + "\n".join(text) + "\n")
    for command in ("predict", "evaluate", "compare"):
        models = [model] * (1 + (command == "compare"))
        message = fails(command, *models, "bad.csv", "--quiet")
        assert "bad.csv: column 'age' has the text \"'in row 5'\" in row 8 (line 10); " in message
    Path("bad.csv").write_text("\n".join(["a,y", '"two\nlines",1', "x,2", "b,inf"]) + "\n")
    message = fails("fit", "bad.csv", "--quiet")
    assert "in row 3" in message and "(line" not in message  # a row has two lines
    Path("bad.csv").write_text("a,y\nq,1\nx,2\nb,inf\n")
    assert "in row 3 (line 4)" in fails("fit", "bad.csv", "--quiet")


@pytest.mark.parametrize("name", main.commands)
def test_the_reference_has_words_for_every_command_and_option(name):
    command = main.commands[name]
    assert command.help and command.get_short_help_str()
    for option in command.params:
        assert option.param_type_name == "argument" or option.help, option.name


def test_help_is_about_all_models_for_tables():
    shown = " ".join(run("fit", "--help").stdout.split())
    assert "Adam" not in shown and "of TabularClassifier or TabularRegressor" in shown


@pytest.mark.filterwarnings("always:.*written with fastmlp:UserWarning")
def test_other_versions_are_remarked_in_one_line(data, model, monkeypatch):
    monkeypatch.setattr("fastmlp.export.model_file.__version__", "7.5.0")
    for command in (("info", model), ("predict", model, "data.csv")):
        lines = run(*command).stderr.splitlines()
        assert len(lines) == 1 and "read with 7.5.0" in lines[0]


@pytest.mark.parametrize("hidden", ["0", "5,x", "-3"])
def test_bad_options(data, hidden):
    assert "not a list of positive integers" in run(
        "fit", "data.csv", "--hidden", hidden, code=2
    ).stderr  # fmt: skip


def test_debug_shows_the_traceback(here):
    result = CliRunner().invoke(main, ["fit", "none.csv", "--debug"])
    assert type(result.exception).__name__ == "DataError"
