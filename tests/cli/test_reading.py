"""Tables from standard input, and the options that say how a table is read."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from commands import QUICK, fails, run
from fastmlp_cli.errors import UserError
from fastmlp_cli.main import main
from fastmlp_cli.options import opened

from fastmlp import load_model

TABLE = "size,wood,value\n" + "".join(
    f"{i % 13},{'oak' if i % 2 else 'ash'},{i}.5\n" for i in range(90)
)


def feed(text, *args, code=0):
    """Result of a command that reads the text from standard input."""
    result = CliRunner().invoke(main, list(map(str, args)), input=text)
    assert result.exit_code == code, result.output
    return result


def test_a_dash_is_standard_input_and_output(here):
    assert "90 (72 training, 18 test)" in feed(TABLE, "fit", "-", *QUICK).stdout
    printed = feed(TABLE, "predict", "model.fastmlp", "-", "-o", "-").stdout
    assert len(printed.splitlines()) == 91
    assert "rows    90" in feed(TABLE, "evaluate", "model.fastmlp", "-").stdout
    Path("t.csv").write_text(TABLE)
    assert run("predict", "model.fastmlp", "t.csv", "-o", "-").stdout == printed
    assert sorted(path.name for path in here.iterdir()) == ["model.fastmlp", "t.csv"]
    Path("-").write_text(TABLE.replace("size", "weight"))
    assert "missing columns: 'size'" in fails("predict", "model.fastmlp", "./-")


def test_messages_about_standard_input(here):
    assert feed("", "fit", "-", code=2).stderr.startswith(
        "fastmlp: standard input: the file is emp"
    )
    result = feed("a,b\n1,2\n2,2\n", "fit", "-", code=2)
    assert "fastmlp: standard input: target column 'b' has a single" in result.stderr
    assert "line 3: 3 fields" in feed("a,b\n1,2\n1,2,3\n", "fit", "-", code=2).stderr


def test_models_are_files(data, model):
    for command in (
        ("fit", "data.csv", "-o", "-"), ("predict", "-", "data.csv"), ("evaluate", "-", "data.csv"),
        ("info", "-"), ("export", "-", "x.onnx"), ("export", model, "-"),
    ):  # fmt: skip
        message = run(*command, code=2).stderr
        assert "'-' is no file here; only tables come from standard input" in message
    assert not Path("-").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_loses_no_rows(here):
    text = "left,right\n" + "".join(f"{i},{i * 3 % 1000}.5\n" for i in range(40_000))
    Path("short.csv").write_text(text[: text.index("\n", 3000) + 1])
    run("fit", "short.csv", *QUICK, "-o", "m.fastmlp")
    command = [sys.executable, "-m", "fastmlp_cli", "predict", "m.fastmlp", "/dev/stdin"]
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 40_001, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_is_no_table(here, monkeypatch):
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "fastmlp_cli", "fit", "-"]
    done = subprocess.run(command, stdin=end, capture_output=True, text=True)
    assert done.returncode == 2 and "standard input: is a terminal" in done.stderr
    assert "is a device, not a file" in fails("fit", os.ttyname(end))
    os.close(end)
    os.close(terminal)


def test_a_closed_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="standard input: is closed"):
        opened("-")


def test_addresses_are_shown_as_typed(here):
    for address in ("https://localhost:1/a//table.csv", "s3://bucket/t.csv"):
        message = fails("fit", address)
        assert message.startswith(f"fastmlp: {address}: ") and "download the file" in message


def test_names_of_models(here):
    table = TABLE.encode()
    for name, stem in {
        "T.CSV": "T", "a.b.tsv.GZ": "a.b", ".csv": "model", "x.dat": "x.dat",
    }.items():  # fmt: skip
        Path(name).write_bytes(table)
        run("fit", name, *QUICK)
        assert Path(f"{stem}.fastmlp").exists()


def test_how_columns_are_read(here):
    text = "Id,code,land,y\n" + "".join(
        f"{i},{'007' if i % 2 else '010'},{'NA' if i % 3 else 'BW'},{i}.5\n" for i in range(60)
    )
    result = feed(text, "fit", "-", *QUICK, "--text", "code", "--text", "land", "--drop", "Id")
    assert "2 text" in result.stdout and "fastmlp: " not in result.stderr
    kinds = {column["name"]: column["kind"] for column in load_model("model.fastmlp").columns_}
    assert kinds == {"code": "text", "land": "text"}
    one, other = (
        feed(f"code,land\n{line}\n", "predict", "model.fastmlp", "-").stdout
        for line in ("007,NA", "7,")
    )
    assert one != other
    shown = feed(text, "fit", "-", *QUICK).stderr
    assert (
        "column 'code' is read as numbers, '010' as well; if these are codes, use --text code"
        in (shown)
    )
    message = feed(text, "fit", "-", "--drop", "id", code=2).stderr
    assert "no column 'id' for --drop; the columns are 'Id', 'code', 'land', 'y'" in message
    assert "no column 'x' for --text" in feed(text, "fit", "-", "--text", "x", code=2).stderr


def test_a_class_that_is_called_na(here):
    text = "a,land\n" + "".join(f"{i},{('BW', 'NA', 'ZA')[i % 3]}\n" for i in range(60))
    message = feed(text, "fit", "-", code=2).stderr
    assert (
        "the text 'NA' in row 2 was read as missing: if it is a value, use --text land" in message
    )
    feed(text, "fit", "-", *QUICK, "--text", "land")
    assert "NA" in run("info", "model.fastmlp").stdout.split("classes")[1]
    assert "rows    60" in feed(text, "evaluate", "model.fastmlp", "-").stdout


def test_separators_and_decimal_marks(here):
    text = TABLE.replace(".", ",").replace(",5\n", "#5\n").replace(",", ";").replace("#", ",")
    result = feed(text, "fit", "-", *QUICK, "--decimal", ",")
    assert "standard input: fields are separated by ';'" in result.stderr
    assert "the target has fractions" in result.stdout
    result = feed(text, "evaluate", "model.fastmlp", "-", "--sep", ";")
    assert "R2" in result.stdout and result.stderr.count("\n") == 1
    assert "was trained on about 80 % of these rows" in result.stderr
    shown = feed("a,b\n1,2\n2,1\n", "fit", "-", "--sep", ";", code=2).stderr
    assert "there is a single column; with --sep , there would be 2" in shown
    shown = feed("a\tb\n1\t2\n2\t1\n", "fit", "-", "--sep", ";", code=2).stderr
    assert "with --sep tab there would be 2" in shown


def test_tables_without_header(here):
    text = "".join(f"{i / 8},{'oak' if i % 2 else 'ash'},{i}.5\n" for i in range(60))
    shown = feed(text, "fit", "-", *QUICK).stderr
    assert "the first line looks like data and is read so" in shown and "use --header" in shown
    found = load_model("model.fastmlp").report_
    shown = feed(text, "fit", "-", *QUICK, "--header").stderr
    assert "the first line looks like data" in shown and "if it is, use --no-header" in shown
    result = feed(text, "fit", "-", *QUICK, "--no-header")
    assert found["rows"] == load_model("model.fastmlp").report_["rows"] == 60
    assert "60 (48 training, 12 test)" in result.stdout and "target: '3'" in result.stderr
    assert len(feed(text, "predict", "model.fastmlp", "-").stdout.splitlines()) == 61
    without = pd.read_csv(io.StringIO(text), header=None)[[0, 1]].to_csv(index=False, header=False)
    result = feed(without, "predict", "model.fastmlp", "-", "--no-header")
    assert result.stdout == feed(text, "predict", "model.fastmlp", "-").stdout
    result = feed("2,1\noak,5\n", "predict", "model.fastmlp", "-", "--header")
    assert len(result.stdout.splitlines()) == 2


def test_several_files_are_one_table(here):
    lines = TABLE.splitlines(keepends=True)
    Path("part-1.csv").write_text("".join(lines[:41]))
    Path("part-2.csv").write_text("".join([lines[0], *lines[41:]]))
    Path("t.csv").write_text(TABLE)
    result = run("fit", "part-*.csv", *QUICK)
    assert "90 (72 training, 18 test)" in result.stdout and Path("part.fastmlp").exists()
    run("fit", "part-1.csv", "part-2.csv", *QUICK, "-o", "two.fastmlp")
    printed = {
        run("predict", "part.fastmlp", *data).stdout
        for data in (["t.csv"], ["part-?.csv"], ["part-1.csv", "part-2.csv"])
    } | {run("predict", "two.fastmlp", "t.csv").stdout}
    assert len(printed) == 1
    assert "rows    90" in run("evaluate", "part.fastmlp", "part-*.csv").stdout
    assert feed(
        "".join([lines[0], *lines[41:]]), "evaluate", "part.fastmlp", "part-1.csv", "-"
    ).stdout
    Path("part-3.csv").write_text("size,value\n1,2\n")
    message = fails("fit", "part-*.csv")
    assert message.startswith("fastmlp: part-3.csv: the columns are not those of part-1.csv")
    assert "named twice" in feed(TABLE, "fit", "-", "-", code=2).stderr
    assert "there is no such file, and none whose name fits" in fails("fit", "x-*.csv")
    message = fails("fit", "t.csv", "two.fastmlp")
    assert "two.fastmlp: this is a model, and not a table to train on" in message
