"""Completion, in the shells that are installed."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from commands import fails, run
from fastmlp_cli.completion import SHELLS, column_names
from fastmlp_cli.main import main


def is_there(shell):
    """Whether a shell is installed; bash can complete from version 4.4 on."""
    if shutil.which(shell) is None:
        return False
    test = "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404))"
    return shell != "bash" or subprocess.run(["bash", "-c", test]).returncode == 0


NEEDS = {
    name: pytest.mark.skipif(not is_there(name), reason=f"{name} is not installed, or too old")
    for name in SHELLS
}


@pytest.fixture
def home(here, monkeypatch):
    """A home folder, and a program fastmlp on the path."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(here))
    program = here / "bin" / "fastmlp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fastmlp_cli "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    Path("table.csv").write_text('"a b",age,income\n1,2,3\n')
    return here


def typed(shell, keys, expected):
    """Type keys into an interactive shell until it shows a text, and return what it has shown."""
    terminal, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PS1": "$ "}
    process = subprocess.Popen(
        shell, stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True
    )
    os.close(end)
    shown, deadline = "", time.monotonic() + 60
    os.write(terminal, f"echo rea''dy\n{keys}".encode())
    while expected not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 10_000).decode(errors="replace")
    process.kill()
    process.wait()
    os.close(terminal)
    return shown


CASES = [
    ("fastmlp eva\t", "fastmlp evaluate"),
    ("fastmlp fit --acti\t", "--activation"),
    ("fastmlp fit --task reg\t", "--task regression"),
    ("fastmlp info tab\t", "table.csv"),
    ("fastmlp fit table.csv --target inc\t", "--target income"),
    ("fastmlp fit table.csv --drop a\\ \t", "a\\ b"),
]


@NEEDS["bash"]
@pytest.mark.parametrize(("keys", "expected"), CASES)
def test_bash_completes(home, keys, expected):
    run("completion", "bash", "--install")
    assert expected in typed(["bash", "-i"], keys, expected)


@NEEDS["zsh"]
@pytest.mark.parametrize(("keys", "expected"), CASES[:5])
def test_zsh_completes(home, keys, expected):
    run("completion", "zsh", "--install")
    assert expected in typed(["zsh", "-i"], keys, expected)


@NEEDS["fish"]
@pytest.mark.parametrize(("keys", "expected"), CASES[:5])
def test_fish_completes(home, keys, expected):
    run("completion", "fish", "--install")
    script = f"complete -C '{keys.strip()}'"
    shown = subprocess.run(["fish", "-c", script], capture_output=True, text=True).stdout
    assert expected.split()[-1] in [line.partition("\t")[0] for line in shown.splitlines()]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_printed_is_what_is_installed(home, shell):
    printed = run("completion", shell)
    assert json.loads(run("completion", shell, "--json").stdout)["script"] == printed.stdout
    for _ in range(2):  # the second time changes nothing
        told = json.loads(run("completion", shell, "--install", "--json").stdout)
    assert told["shell"] == shell and Path(told["installed"][0]).read_text() == printed.stdout
    assert all(Path(path).is_relative_to(home) for path in told["installed"])
    for path in told["installed"][1:]:
        assert Path(path).read_text().count("# completion of fastmlp") == 1


def test_settings_stay_as_they_are(home):
    Path("own").write_bytes(b"alias x=y # \xff")
    Path(".bashrc").symlink_to("own")
    run("completion", "bash", "--install")
    text = Path("own").read_bytes()
    assert Path(".bashrc").is_symlink() and text.startswith(b"alias x=y # \xff\n[ -r ")


def test_the_shell_is_that_of_the_user(home, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "fish_complete" in run("completion").stdout
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "the shell 'tcsh' is not known; name one of bash, zsh, fish" in fails("completion")


def test_places_that_cannot_be_written(home):
    Path(".local").write_text("a file")
    message = fails("completion", "bash", "--install")
    assert "cannot be written" in message and "prints the script" in message
    assert not Path(".bashrc").exists()


def complete(*words, incomplete=""):
    found = ShellComplete(main, {}, "fastmlp", "_X").get_completions(list(words), incomplete)
    return [item.value for item in found]


def test_columns_are_those_of_the_table(here):
    Path("t.csv").write_text("# a comment\nage;größe;a\x1b[31mb;c,d;\n1;2;3;4;5\n")
    assert complete("fit", "t.csv", "--target") == ["age", "größe"]
    assert complete("fit", "t.csv", "--target", incomplete="GRÖ") == ["größe"]
    assert complete("evaluate", "none.fastmlp", "t.csv", "--by") == ["age", "größe"]
    assert complete("fit", "t.csv", "--sep", ",", "--drop") != ["age", "größe"]
    assert complete("predict", "none.fastmlp", "t.csv", "u.csv", "--keep") == ["age", "größe"]
    assert complete("fit", "none.csv", "--target") == complete("fit", "--target") == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x1f\x8b broken", b'"open', b"a" * 10])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.xz", "csv.bz2"])
def test_tables_that_have_no_names_complete_nothing(here, content, ending):
    Path(f"t.{ending}").write_bytes(content)
    assert all(name.isprintable() for name in complete("fit", f"t.{ending}", "--text"))


def test_every_option_that_takes_a_column_completes_them():
    for command in main.commands.values():
        for option in command.params:
            if option.metavar == "COL":
                assert option._custom_shell_complete is column_names, option.name
