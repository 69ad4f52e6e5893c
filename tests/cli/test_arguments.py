"""Arguments that cannot be used: one line, exit code 2, and nothing written."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, fails, run
from fastmlp_cli.errors import in_shell_words
from fastmlp_cli.main import main
from fastmlp_cli.values import value_of

from fastmlp import DataWarning, load_model
from fastmlp.exceptions import warn_user
from fastmlp.tabular.batches import Predictions
from fastmlp.tabular.chunks import Chunk
from fastmlp.tabular.predictions import named


def refused(*args):
    """What a command says of arguments that it cannot use."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    result = run(*args, code=2)
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert {p: p.read_bytes() for p in Path().iterdir() if p.is_file()} == before
    message = result.stderr.splitlines()[-1]
    assert len(message) < 700
    return message


@pytest.mark.parametrize("option", ["--test-size", "--learning-rate", "--alpha"])
@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-inf", "1e999", "", "x"])
def test_numbers_that_are_none(data, option, value):
    assert option in refused("fit", "data.csv", option, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("0.5", 0.5), ("true", True), ("True", True), ("null", None), ("None", None),
        ("[1, 2]", [1, 2]), ("(1, 2)", (1, 2)), ("adam", "adam"), ("'a'", "a"), ("", ""),
        ("1 if 1else 2", "1 if 1else 2"), ("'\\d'", "\\d"), ("\0", "\0"), ("\udcff", "\udcff"),
    ],
)  # fmt: skip
def test_values_of_settings(text, value):
    assert value_of(text) == value


@pytest.mark.parametrize(
    "text", ["[" * 9000, "-" * 9000 + "1", "{" * 9000, "(" * 200 + "1", "9" * 5000]
)
def test_values_that_no_parser_takes_are_text(data, text):
    assert value_of(text) == text
    message = refused("fit", "data.csv", "--set", f"dropout={text}")
    assert message.startswith("fastmlp: --set dropout=... must be 'auto', a number of at least 0")
    assert in_shell_words(f"dropout={text[:90]}", main.commands["fit"])


@pytest.mark.parametrize("value", ["[{1}]", "[1j]", "(b'x', 2)", "[...]"])
def test_messages_hold_values_that_json_has_not(value):
    shown = in_shell_words(f"lower dropout={value}", main.commands["fit"])
    assert shown.startswith("lower --set ") and "dropout=" in shown


def test_settings_that_have_flags_are_named(data):
    flags = {
        "n_jobs": "--jobs", "hidden_layer_sizes": "--hidden", "max_iter": "--epochs",
        "random_state": "--seed", "learning_rate_init": "--learning-rate",
        "na_values": "--na", "separator": "--sep",
    }  # fmt: skip
    for name, flag in flags.items():
        assert f"'{name}' is set by {flag}" in refused("fit", "data.csv", "--set", f"{name}=1")
    run("fit", "data.csv", *QUICK, "--set", "n_iter_no_change=30", "--quiet")
    assert load_model("data.fastmlp").n_iter_no_change == 30


@pytest.mark.parametrize(
    "hidden", ["1000000,1000000", "2147483647,2147483647", "99999999999", "9" * 5000, "1e3", "²"]
)
def test_networks_that_no_machine_holds(data, hidden):
    message = refused("fit", "data.csv", "--hidden", hidden, "--quiet")
    assert any(part in message for part in ("of memory", "too large", "not a list of posit"))


def test_no_memory_is_a_line(model, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError(*args[2:])

    monkeypatch.setattr("fastmlp.tabular.train.train_table", fail)
    expected = "fastmlp: there is not enough memory; take fewer hidden units, columns or rows"
    assert refused("fit", "data.csv", "--quiet") == expected
    monkeypatch.setattr("fastmlp.tabular.predictions.read_chunks", fail)
    assert refused("predict", model, "data.csv") == expected


@pytest.mark.parametrize(
    "option",
    [
        "--target", "--task", "--activation", "--epochs", "--batch-size", "--learning-rate",
        "--alpha", "--class-weight", "--test-size", "--seed", "--device", "--jobs", "-o", "--set",
        "--encoding", "--sep",
    ],
)  # fmt: skip
def test_empty_values(data, option):
    assert refused("fit", "data.csv", "--quiet", option, "")


@pytest.mark.parametrize("name", ["", "a\0b", "folder/", "x" * 5000])
def test_names_that_no_file_can_have(model, name):
    Path("folder").mkdir()
    for args in (
        ("fit", name), ("fit", "data.csv", "-o", name), ("info", name), ("export", model, name),
        ("predict", model, name), ("predict", model, "data.csv", "-o", name),
        ("evaluate", name, "data.csv"), ("demo", "xor", "--plot", name),
        ("demo", "digits", "--data", name),
    ):  # fmt: skip
        assert refused(*args), args


def test_odd_names_are_names(data):
    """Line breaks, blanks, other scripts, and bytes that are no text in UTF-8."""
    for name in ("a\nb.csv", " .csv", "größe 日本.csv", os.fsdecode(b"\xff\xfe.csv")):
        data.to_csv(name, index=False)
        assert len(run("fit", name, *QUICK, "--quiet").stdout.splitlines()) == 15
        assert Path(name.removesuffix(".csv") + ".fastmlp").exists()
        assert "no target column" in fails("fit", name, "--target", "missing\n")


def test_arguments_in_the_wrong_order(model):
    for command in ("predict", "evaluate"):
        assert refused(command, "data.csv", model) == (
            "fastmlp: data.fastmlp: this is the model, which comes first: MODEL DATA"
        )
        assert "this is a model, and not a table" in refused(command, model, model)
    assert "this is a model, and not a table to train on" in refused("fit", model)


def test_outputs_are_checked_before_any_work(model, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("the work has begun")

    for place in ("csv.read_table", "predictions.predict_chunks", "train.train_table"):
        monkeypatch.setattr(f"fastmlp.tabular.{place}", never)
    Path("folder").mkdir()
    for output in ("data.csv", "folder", "none/x", "/dev/null", "/dev/full", "/proc/x"):
        if output.startswith(("/dev", "/proc")) and not Path(output).parent.exists():
            continue
        assert refused("fit", "data.csv", "-o", output)
        assert refused("predict", model, "data.csv", "-o", output)


def test_packages_that_cannot_be_imported_are_a_line(model, monkeypatch):
    def fail(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'zstandard'")

    monkeypatch.setattr("fastmlp.tabular.predictions.read_chunks", fail)
    assert refused("predict", model, "data.csv") == (
        "fastmlp: No module named 'zstandard'; fastmlp doctor looks for what is missing or broken"
    )


def test_jobs_beyond_all_cores(data):
    run("fit", "data.csv", *QUICK, "--jobs", "1000000000", "--quiet")


# ---- the columns of predictions ------------------------------------------------------------


def fit_classes(classes, target):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60).round(3), target: (classes * 60)[:60]})
    frame.to_csv("t.csv", index=False)
    run("fit", "t.csv", *QUICK, "--quiet")
    return frame


@pytest.mark.parametrize(
    ("target", "shown"),
    [("probability_yes", "prediction"), ("prediction", "prediction"), ("a_b", "a_b")],
)
def test_columns_of_predictions_differ(here, target, shown):
    fit_classes(["yes", "no", "no"], target)
    columns = [shown, "probability_no", "probability_yes"]
    plain = pd.read_csv(io.StringIO(run("predict", "t.fastmlp", "t.csv").stdout))
    both = pd.read_csv(io.StringIO(run("predict", "t.fastmlp", "t.csv", "--proba").stdout))
    assert list(plain) == [target] and list(both) == columns
    assert list(plain[target]) == list(both[shown])
    as_json = json.loads(run("predict", "t.fastmlp", "t.csv", "--proba", "--json").stdout)
    assert all(list(row) == columns for row in as_json["predictions"])


def test_classes_that_look_the_same_have_columns_of_their_own():
    model = SimpleNamespace(
        target_name_=("x", 1),
        classes_=np.array([1, "1"], dtype=object),
    )
    result = named(model, Predictions(np.zeros(2), np.tile([0.25, 0.75], (2, 1))), True)
    assert [str(name) for name in result] == ["('x', 1)", "probability_1", "probability_1_"]
    assert result["probability_1_"].tolist() == [0.75, 0.75]


@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_a_table_without_rows_has_no_predictions(data, monkeypatch, n_classes):
    data["class"] = np.arange(120.0) ** 2 if n_classes == 0 else list("xyz"[:n_classes] * 120)[:120]
    data.to_csv("data.csv", index=False)
    run("fit", "data.csv", *QUICK, "--quiet")
    empty = data.iloc[:0].drop(columns="class")
    monkeypatch.setattr(
        "fastmlp.tabular.predictions.read_chunks",
        lambda *args, **kwargs: iter([Chunk(empty, empty[[]], 0, 1.0)]),
    )
    columns = [f"probability_{label}" for label in "xyz"[:n_classes]]
    proba = ["--proba"] if columns else []
    result = run("predict", "data.fastmlp", "data.csv", *proba)
    assert result.stdout == ",".join(["class", *columns]) + "\n" and result.stderr == ""
    assert json.loads(run("predict", "data.fastmlp", "data.csv", *proba, "--json").stdout) == {
        "predictions": []
    }
    run("predict", "data.fastmlp", "data.csv", *proba, "-o", "out.csv")
    assert Path("out.csv").read_text() == result.stdout
    empty = empty.drop(columns="age")
    assert "'age'" in refused("predict", "data.fastmlp", "data.csv")


# ---- warnings -------------------------------------------------------------------------------


def test_remarks_on_the_data_are_lines_that_quiet_leaves_out(data, monkeypatch):
    from fastmlp.tabular import train

    original = train.train_table

    def doubtful(*args, **kwargs):
        for _ in range(3):
            warn_user("column 'a' is\nodd; use separator=';'", DataWarning)
        return original(*args, **kwargs)

    monkeypatch.setattr(train, "train_table", doubtful)
    shown = run("fit", "data.csv", *QUICK).stderr
    assert shown.count("fastmlp: column 'a' is odd; use --sep ';'\n") == 1
    assert run("fit", "data.csv", *QUICK, "--quiet").stderr == ""


def test_json_of_errors_stays_on_standard_error(model):
    for args in (
        ("fit", "none.csv"), ("predict", model, "none.csv"), ("evaluate", model, "none.csv"),
        ("info", "none.fastmlp"), ("export", model, "none/x.onnx"), ("demo", "none"),
        ("bench", "--case", "none"),
    ):  # fmt: skip
        assert refused(*args, "--json"), args


def test_flags_that_say_no():
    import click

    command = click.Command("c", params=[
        click.Option(["--no-header", "header"], is_flag=True), click.Option(["--decimal"]),
        click.Option(["--drop"], multiple=True), click.Option(["--quick"], is_flag=True),
    ])  # fmt: skip
    said = "use header=False; or header=True, decimal=',', drop=['a b', 'c'], quick=True"
    assert in_shell_words(said, command) == (
        "use --no-header; or the default of --no-header, --decimal ,, --drop 'a b' --drop c, "
        "quick=True"
    ).replace("quick=True", "--quick")
    assert in_shell_words("quick=False", command) == "the default of --quick"
