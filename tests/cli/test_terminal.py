"""What reaches a terminal: no control character of a file, in any encoding."""

import ast
import io
import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import fastmlp_cli
import pandas as pd
import pytest
from click.testing import CliRunner
from commands import QUICK, on_terminal, run
from fastmlp_cli.errors import remark
from fastmlp_cli.main import main
from fastmlp_cli.output import print_json, print_rows
from fastmlp_cli.terminal import echo, has_colours, one_line, visible
from hypothesis import given, settings
from hypothesis import strategies as st

# Any character: st.text() alone leaves out the halves of surrogate pairs.
ANY = st.text(st.characters(), max_size=30) | st.text(
    st.sampled_from(
        "a é\x00\x07\n\r\t\x1b\x7f\x85\x9b\xa0\u061c\u200b\u200f\u2028\u202e\u2066\ud800"
    )
)
BOUNDED = settings(derandomize=True, max_examples=200, deadline=None)
TITLE = "\x1b]0;title\x07"
HOSTILE = [TITLE, "\x9b2J", "\u202e", "\x7f", "\u2066\u200b", "\x1b[31m"]


def is_harmless(text):
    """Whether text, but for its line breaks, is what a terminal shows as it stands."""
    return text.replace("\n", "").isprintable()


def process(*args, **options):
    command = [sys.executable, "-m", "fastmlp_cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, timeout=100, **options)


@BOUNDED
@given(ANY)
def test_whatever_is_shown_is_visible(text):
    shown = visible(text)
    assert shown.isprintable()
    shown.encode()  # no half of a pair is left
    assert visible(shown) == shown
    assert one_line(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"C:\data\x.csv", r"C:\data\x.csv"),
        ("prix en €, 日本, naïve 👍", "prix en €, 日本, naïve 👍"),
        ("\x1b[2J\x00\x7f\x9b", r"\x1b[2J\x00\x7f\x9b"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\u202ecod.\u2066\u2069\u200e\u061c", r"\u202ecod.\u2066\u2069\u200e\u061c"),
        ("\u200b\ufeff\u00ad\u2028\u3164\U000e0041", r"\u200b\ufeff\xad\u2028\u3164\U000e0041"),
        ("file\udcff", r"file\udcff"),
    ],
)
def test_how_characters_are_shown(text, shown):
    assert visible(text) == shown


@BOUNDED
@given(ANY, st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8", "utf-16"]))
def test_any_text_can_be_printed_in_any_encoding(text, encoding):
    with pytest.MonkeyPatch.context() as patch:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding, newline="") for _ in range(2)]
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        echo(text)
        print_rows([(text, text), ("name", f"{text}value")])
        remark(text)
        out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert is_harmless(out) and is_harmless(err)
    assert err.count("\n") == 1 and out.count("\n") <= text.count("\n") + 3


@BOUNDED
@given(ANY)
def test_json_is_plain_ascii(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        print_json({"value": text, text: 1})
        shown = sys.stdout.getvalue()
    assert shown.isascii() and is_harmless(shown)
    assert json.loads(shown)["value" if text != "value" else text] in (text, 1)


def test_numbers_that_json_does_not_know_are_null():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        print_json({"a": [float("nan"), (float("inf"), -float("inf"))]})
        assert json.loads(sys.stdout.getvalue()) == {"a": [None, [None, None]]}


def test_there_is_one_way_to_print():
    """Everything goes through terminal.py, so that nothing can be forgotten."""
    for path in Path(fastmlp_cli.__path__[0]).glob("*.py"):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert not calls & {"print", "click.echo", "click.secho", "sys.stdout.write"}, path


@pytest.fixture
def hostile(here):
    """A table whose header and classes hold what a terminal obeys."""
    rows = {
        f"number{HOSTILE[0]}": [f"{(i * 7) % 31}" for i in range(60)],
        f"text{HOSTILE[1]}": ["uvw"[i % 3] + HOSTILE[4] for i in range(60)],
        f"constant{HOSTILE[2]}": ["1"] * 60,
        f"id{HOSTILE[3]}": [f"{i:x}{TITLE}" for i in range(60)],
        f"target{HOSTILE[4]}": [f"{'no' if i % 3 else 'yes'}{HOSTILE[5]}" for i in range(60)],
    }
    pd.DataFrame(rows).to_csv("hostile.csv", index=False)
    return rows


def test_names_and_classes_are_shown_as_escapes(hostile):
    model = "hostile.fastmlp"
    for args in (
        ("fit", "hostile.csv", *QUICK),
        ("info", model),
        ("evaluate", model, "hostile.csv"),
        ("predict", model, "hostile.csv", "--json", "--proba"),
        ("info", model, "--json"),
        ("fit", "hostile.csv", *QUICK, "--json"),
    ):
        result = run(*args)
        assert is_harmless(result.stdout) and is_harmless(result.stderr), args
    assert r"classes   no\x1b[31m, yes\x1b[31m" in run("info", model).stdout
    assert r"constant: constant\u202e" in run("fit", "hostile.csv", *QUICK).stderr


def test_errors_show_what_was_typed_as_escapes(hostile):
    run("fit", "hostile.csv", *QUICK)
    pd.DataFrame({TITLE: [1, 2]}).to_csv("other.csv", index=False)
    for args in (
        ("fit", f"a{TITLE}.csv"),
        ("fit", "hostile.csv", "--target", "\x1b\udcff\n"),
        ("fit", "hostile.csv", f"--{TITLE}"),
        ("fit", "hostile.csv", TITLE, "more\n"),
        ("fit", "hostile.csv", "--hidden", TITLE),
        ("fit", "hostile.csv", "--task", TITLE),
        ("fit", "hostile.csv", "--set", f"dropout={TITLE}"),
        ("fit", "hostile.csv", "--set", f"{TITLE}=1"),
        ("fit", "hostile.csv", "--encoding", TITLE),
        ("fit", "hostile.csv", "-o", f"{TITLE}/x"),
        ("predict", "hostile.fastmlp", "other.csv"),
        ("evaluate", "hostile.fastmlp", "other.csv"),
        ("info", f"\x9b{TITLE}"),
        (f"{TITLE}\n",),
        ("demo", TITLE),
        ("bench", "--case", TITLE),
    ):
        result = run(*args, code=2)
        assert result.stdout == "" and is_harmless(result.stderr), args
        assert "\\x" in result.stderr or "\\u" in result.stderr, args


@pytest.mark.filterwarnings("always:.*written with:UserWarning")
def test_a_model_file_cannot_write_to_the_terminal(data, model):
    with zipfile.ZipFile(model) as archive, zipfile.ZipFile("evil.fastmlp", "w") as evil:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "fastmlp.json":
                content = json.dumps(dict.fromkeys(json.loads(content), TITLE) | {"format": 1})
            else:
                content = content.replace(b'"young"', json.dumps(TITLE).encode())
            evil.writestr(name, content)
    for args in (("info",), ("predict", "data.csv"), ("export", "out.onnx")):
        result = CliRunner().invoke(main, [args[0], "evil.fastmlp", *args[1:]])
        assert result.exit_code in (0, 2)
        assert is_harmless(result.stderr)
        assert is_harmless(result.stdout) or args[0] == "predict"


def test_predictions_are_unchanged_for_programs_and_harmless_on_a_terminal(hostile):
    run("fit", "hostile.csv", *QUICK)
    command = ("predict", "hostile.fastmlp", "hostile.csv", "--proba")
    run(*command, "-o", "out.csv")
    written = Path("out.csv").read_bytes()
    assert written.startswith(b"target\xe2\x81\xa6\xe2\x80\x8b,probability_no\x1b[31m,")
    assert process(*command).stdout == written
    terminal, end = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "fastmlp_cli", *command], stdout=end) as shown:
        os.close(end)
        seen = b""
        try:
            while part := os.read(terminal, 10_000):
                seen += part
        except OSError:  # how a pseudo-terminal says that there is no more
            pass
        os.close(terminal)
    assert shown.returncode == 0
    lines = seen.decode().replace("\r\n", "\n")
    assert is_harmless(lines) and len(lines.splitlines()) == 61
    assert r"target\u2066\u200b,probability_no\x1b[31m,probability_yes\x1b[31m" in lines


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_streams_that_lack_characters(here, encoding):
    def encoded(*args):
        result = CliRunner(charset=encoding).invoke(main, args)
        assert "Traceback" not in result.stderr and result.exit_code in (0, 2)
        return result

    pd.DataFrame({"größe": range(60), "日本": ["né", "ω"] * 30}).to_csv("d.csv", index=False)
    fit = encoded("fit", "d.csv", *QUICK)
    assert r"target    \u65e5\u672c" in fit.stdout and r"target: '\u65e5\u672c'" in fit.stderr
    predicted = encoded("predict", "d.fastmlp", "d.csv")
    assert predicted.stdout.startswith(r"\u65e5\u672c") and predicted.exit_code == 0
    assert "lacks are written as escapes; -o FILE writes UTF-8" in predicted.stderr
    encoded("predict", "d.fastmlp", "d.csv", "-o", "p.csv")
    assert set(pd.read_csv("p.csv")["日本"]) <= {"né", "ω"}
    assert encoded("fit", "d.csv", "--target", "größer").exit_code == 2


def test_a_process_whose_streams_are_ascii(here):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    failed = process("fit", "größe\udce9.csv", env=environment)
    assert failed.returncode == 2
    assert failed.stderr == rb"fastmlp: gr\xf6\xdfe\udce9.csv: there is no such file" + b"\n"


def test_tracebacks_are_harmless(here):
    failed = process("fit", f"no{TITLE}.csv", "--debug", text=True)
    assert failed.returncode == 2 and is_harmless(failed.stderr)
    assert "Traceback" in failed.stderr and r"DataError: no\x1b]0;title\x07.csv" in failed.stderr


# ---- outputs that fail ----------------------------------------------------------------------


def shell(command):
    words = command.replace("fastmlp", f"{sys.executable} -m fastmlp_cli", 1)
    return subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=100)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is full")
def test_outputs_that_are_full(data, model):
    failed = shell("fastmlp predict data.fastmlp data.csv > /dev/full")
    assert failed.returncode == 2
    assert failed.stderr == (
        "fastmlp: standard output cannot be written: [Errno 28] No space left on device\n"
    )
    assert shell("fastmlp predict data.fastmlp none.csv 2> /dev/full").returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_outputs_that_are_closed(data, model):
    failed = shell("fastmlp predict data.fastmlp data.csv >&-")
    assert failed.returncode == 2
    assert failed.stderr.startswith("fastmlp: standard output is closed") and not failed.stdout
    assert shell("fastmlp predict data.fastmlp none.csv 2>&-").returncode == 2
    before = sorted(Path().iterdir())
    assert shell("fastmlp fit data.csv -o new.fastmlp --epochs 1 <&- >&- 2>&-").returncode == 2
    assert sorted(Path().iterdir()) == before


def test_new_commands_show_escapes(hostile):
    """Names of files, columns, groups and classes, in text and as JSON."""
    run("fit", "hostile.csv", *QUICK, "--refit", "--quiet")
    copy = f"copy{TITLE}.fastmlp"
    Path(copy).write_bytes(Path("hostile.fastmlp").read_bytes())
    groups = [word for name in hostile for word in ("--by", name)]
    for args in (
        ("evaluate", copy, "hostile.csv", *groups),
        ("evaluate", copy, "hostile.csv", "--by", TITLE),
        ("compare", copy, "hostile.fastmlp", "hostile.csv"),
        ("compare", copy, f"none{TITLE}", "hostile.csv"),
        ("info", copy),
    ):
        for json_too in ((), ("--json",)):
            result = CliRunner().invoke(main, [*args, *json_too])
            assert result.exit_code in (0, 2) and "Traceback" not in result.stderr
            assert is_harmless(result.stdout) and is_harmless(result.stderr), args


# ---- colours --------------------------------------------------------------------------------


RED = "\x1b[31m\x1b[1m"


@pytest.mark.parametrize(
    ("settings", "on_pipe", "on_tty"),
    [
        ({}, False, True), ({"NO_COLOR": "1"}, False, False), ({"NO_COLOR": ""}, False, True),
        ({"FORCE_COLOR": "1"}, True, True), ({"FORCE_COLOR": "0"}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False), ({"TERM": "dumb"}, False, False),
    ],
)  # fmt: skip
def test_who_sees_colours(monkeypatch, settings, on_pipe, on_tty):
    monkeypatch.setenv("TERM", "xterm")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    terminal, end = pty.openpty()
    with open(end, "w") as stream:
        assert has_colours(stream) is on_tty
    os.close(terminal)
    assert has_colours(io.StringIO()) is on_pipe and has_colours(None) is on_pipe


def test_colours_of_errors_end_before_what_files_say(here, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    name = f"no{TITLE}.csv"
    plain = run("fit", name, code=2).stderr
    assert "\x1b" not in plain
    code, out, shown = on_terminal("fit", name)
    assert code == 2 and out == "" and shown.startswith(f"{RED}fastmlp:\x1b[0m no\\x1b]0;title")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("fit", name, code=2).stderr == plain.replace("fastmlp:", f"{RED}fastmlp:\x1b[0m")


# ---- quiet and JSON -------------------------------------------------------------------------


@pytest.mark.parametrize("name", main.commands)
def test_every_command_has_the_common_options(name):
    flags = {flag for option in main.commands[name].params for flag in option.opts}
    assert flags >= {"--json", "--quiet", "--config", "--debug"}


def test_quiet_commands_say_results_alone(data, model, monkeypatch):
    from fastmlp import DataWarning
    from fastmlp.exceptions import warn_user
    from fastmlp.tabular import predictions, train

    def doubtful(original):
        def read(*args, **kwargs):
            warn_user("this looks odd", DataWarning)
            return original(*args, **kwargs)

        return read

    monkeypatch.setattr(train, "read_for", doubtful(train.read_for))
    monkeypatch.setattr(predictions, "read_chunks", doubtful(predictions.read_chunks))
    for command in (["predict", model], ["evaluate", model], ["compare", model, model]):
        loud = run(*command, "data.csv")
        quiet = run(*command, "data.csv", "--quiet")
        odd, *others = loud.stderr.splitlines()
        assert odd == "fastmlp: this looks odd" and quiet.stderr == ""
        assert len(others) == (command[0] != "predict")
        assert all("trained on about 80 % of these rows" in line for line in others)
        assert loud.stdout == quiet.stdout


def test_quiet_work_on_the_machine(monkeypatch):
    monkeypatch.setattr("fastmlp.warmup", lambda report: report(1, 2, "a kernel"))
    assert "[1/2] a kernel" in run("warmup").stderr and run("warmup", "--quiet").stderr == ""
    monkeypatch.setattr("fastmlp.tools.doctor.examine", lambda: ({"a": "b"}, []))
    assert run("doctor", "--quiet").output == ""
    monkeypatch.setattr("fastmlp.tools.doctor.examine", lambda: ({"a": "b"}, ["x"]))
    assert run("doctor", "--quiet", code=1).output == "problem: x\n"


@pytest.mark.parametrize(
    "args",
    [
        ("fit", "none.csv"), ("fit",), ("fit", "a", "--epochs", "x"), ("fit", "a", "--epoch"),
        ("predict", "a"), ("evaluate", "a", "b", "--level", "2"), ("compare", "a", "b"), ("info",),
        ("export", "a"), ("demo", "x", "--seed", "x"), ("bench", "--dtype", "x"), ("warmup", "x"),
        ("doctor", "x"), ("predct",), ("--nothing",), ("fit", "none.csv", "--config", "none"),
    ],
)  # fmt: skip
def test_errors_beside_json_are_one_line(here, args):
    result = run(*args, "--json", code=2)
    assert result.stdout == "" and result.stderr.startswith("fastmlp: ")
    assert result.stderr.count("\n") == 1 and is_harmless(result.stderr)
