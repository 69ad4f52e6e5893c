"""``--config``: options from a TOML file."""

import json
from pathlib import Path

import click
import pytest
from commands import QUICK, fails, run
from fastmlp_cli.main import main

from fastmlp import load_model

ARGUMENTS = {
    "fit": ["d.csv"], "predict": ["m", "d.csv"], "evaluate": ["m", "d.csv"],
    "compare": ["a", "b", "d.csv"], "info": ["m"], "export": ["m", "o"], "tune": ["d.csv"],
    "report": ["m", "d.csv"], "serve": ["m"],
}  # fmt: skip
# As typed, and as a file has it, for options whose values are not any text.
VALUES = {
    "hidden": ("100,50", "[100, 50]"), "quantiles": ("0.1,0.9", "[0.1, 0.9]"),
    "activation": ("tanh,relu", '["tanh", "relu"]'), "set": ("dropout=0.1", "{dropout = 0.1}"),
    "sep": (";", '";"'), "decimal": (",", '","'), "class-weight": ("balanced", '"balanced"'),
    "jobs": ("2", "2"), "workers": ("2", "2"), "cluster": ("tcp://a:1", '"tcp://a:1"'),
}  # fmt: skip


def options(name):
    parameters = main.commands[name].params
    return [o for o in parameters if isinstance(o, click.Option) and "--config" not in o.opts]


def sample(option):
    """A value of an option, as the words that are typed, and as TOML."""
    flag = max(option.opts, key=len)
    if option.is_flag:
        return [flag], "true"
    typed, written = VALUES.get(flag[2:], ("1", "1"))
    if isinstance(option.type, click.Choice) and flag[2:] not in VALUES:
        typed = str(option.type.choices[-1])
        written = f'"{typed}"'
    elif isinstance(option.type, click.FloatRange):
        typed = written = "0.5"
    if option.multiple and flag != "--set":
        return [flag, "a", flag, "b"], '["a", "b"]'
    return [flag, typed], written


def parsed(name, *words):
    command = main.commands[name]
    with click.Context(main) as parent, command.make_context(name, list(words), parent) as context:
        return context.params


@pytest.mark.parametrize("name", main.commands)
def test_every_option_can_stand_in_the_file(here, name):
    words = ARGUMENTS.get(name, [])
    nothing = parsed(name, *words)
    for option in options(name):
        typed, written = sample(option)
        key = typed[0][2:]
        for form in {key, key.replace("-", "_")}:
            Path("o.toml").write_text(f"[{name}]\n{form} = {written}\n")
            found = parsed(name, *words, "--config", "o.toml")
            assert found == parsed(name, *words, *typed)
        assert found != nothing or not option.expose_value, key


def test_a_fit_takes_the_options_of_its_section(data):
    Path("o.toml").write_text(
        '[fit]\nhidden = [7, 5]\nepochs = 3\ntarget = "age"\ndrop = ["city", "job"]\n'
        "early-stopping = false\nquiet = true\n[fit.set]\ndropout = [0.1, 0]\n"
        'lr_schedule = "cosine"\n[predict]\nproba = true\n'
    )
    result = run("fit", "data.csv", "--config", "o.toml", "--epochs", "2", "-o", "m.fastmlp")
    model = load_model("m.fastmlp")
    assert result.stderr == "" and model.estimator_.hidden_layer_sizes == (7, 5)
    assert (model.estimator_.max_iter, model.target_name_) == (2, "age")
    assert model.dropout == [0.1, 0] and model.lr_schedule == "cosine"
    assert "city" not in {column["name"] for column in model.columns_}


def test_typed_options_win(data):
    Path("o.toml").write_text("[fit]\ndrop = ['city']\nquiet = true\nearly_stopping = true\n")
    run("fit", "data.csv", *QUICK, "--config", "o.toml", "--drop", "job", "--no-early-stopping")
    model = load_model("data.fastmlp")
    names = {column["name"] for column in model.columns_}
    assert "city" in names and "job" not in names and model.early_stopping is False


def test_paths_are_those_of_the_current_folder(data):
    Path("below").mkdir()
    Path("below/o.toml").write_text("[fit]\noutput = 'here.fastmlp'\nquiet = true\n")
    run("fit", "data.csv", *QUICK, "--config", "below/o.toml")
    assert Path("here.fastmlp").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nepoch = 3", "line 2: fastmlp fit has no option 'epoch'; did you mean 'epochs'"),
        ("[fit]\nx1 = 3", "line 2: fastmlp fit has no option 'x1'; it has target, task"),
        ("[fti]\nx = 1", "line 1: there is no command 'fti'; did you mean 'fit'?"),
        ("\nepochs = 3", "line 2: 'epochs' is in no section; write it below [fit]"),
        ("[fit]\n\nepochs = 'ten'", "line 3: 'epochs' of [fit]: 'ten' is not a valid integer"),
        ("[fit]\nquiet = 1", "line 2: 'quiet' of [fit] must be true or false"),
        ("[fit]\nepochs = true", "line 2: 'epochs' of [fit] takes a value, and not true"),
        ("[fit]\nepochs = {a = 1}", "'epochs' of [fit] must be a single value"),
        ("[fit]\ntarget = {a = 1}", "'target' of [fit] must be a text, or a list"),
        ("[fit.epochs]\na = 1", "line 1: 'epochs' of [fit] must be a single value"),
        ("[fit]\nalpha = nan", "'alpha' of [fit]: 'nan' is not"),
        ("[fit]\noutput = 'x/'", "'output' of [fit]: 'x/' is the name of a folder"),
        ("[fit", "this is no TOML"),
        ("[fit]\ntest-size = 0.1\ntest_size = 0.2", "line 3: 'test_size' is set twice"),
        ("[evaluate]\nlevl = 1", "fastmlp evaluate has no option 'levl'; did you mean 'level'"),
        ("[fit]\nconfig = 'a.toml'", "has no option 'config'"),
        ('[fit]\n"a\\u001bb" = 1', r"has no option 'a\x1bb'"),
        ("[fit]\ntask = 1979-05-27", "'task' of [fit]: '1979-05-27' is not one of"),
    ],
)
def test_files_that_cannot_be_used(data, text, message):
    Path("o.toml").write_text(text)
    shown = run("fit", "data.csv", "--config", "o.toml", code=2).stderr
    assert shown.startswith("fastmlp: o.toml") and shown.count("\n") == 1 and "\x1b" not in shown
    assert message in shown


def test_files_that_are_no_text(data):
    assert "o.toml: there is no such file" in fails("fit", "data.csv", "--config", "o.toml")
    Path("o.toml").write_bytes(b"\xff\xfe\x00")
    assert "o.toml: is no text in UTF-8" in fails("fit", "data.csv", "--config", "o.toml")
    Path("o.toml").write_bytes(b"#" * 1_000_001)
    assert "too large" in fails("fit", "data.csv", "--config", "o.toml")
    Path("folder").mkdir()
    assert "folder: cannot be read" in fails("fit", "data.csv", "--config", "folder")
    Path("o.toml").write_text("\ufeff[fit]\nhidden = 4\nepochs = 2\njson = true\nquiet = true\n")
    report = json.loads(run("fit", "data.csv", "--config", "o.toml").stdout)
    assert report["layers"][1] == 4


def test_errors_of_typed_values_are_those_of_the_command_line(data):
    Path("o.toml").write_text("[fit]\nepochs = 3\n")
    shown = run("fit", "data.csv", "--config", "o.toml", "--epochs", "x", code=2).stderr
    assert "Invalid value for '--epochs'" in shown and "o.toml" not in shown
