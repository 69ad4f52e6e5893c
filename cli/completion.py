"""Completion in the shell: commands, options, files, and the columns of a table."""

import bz2
import csv
import gzip
import lzma
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from .errors import Command, UserError, is_quiet
from .signals import signals_held
from .terminal import echo, echo_data, visible

PROGRAM = "fastmlp"
_VARIABLE = "_FASTMLP_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
_MARK = "# completion of fastmlp"
_LONGEST_LINE = 1_000_000
_OPENERS: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Install it for this user, instead of printing it.")
@click.pass_context
def completion(context: click.Context, shell: str | None, install: bool, as_json: bool) -> None:
    """Print the script that completes what is typed, or install it.

    SHELL is the one of the variable of that name unless it is typed. New shells complete commands,
    options, their choices, names of files, and the columns of DATA where an option takes one.
    """
    from .output import print_json, print_rows

    shell = shell or _own_shell()
    cls = get_completion_class(shell)
    assert cls is not None
    script = cls(context.find_root().command, {}, PROGRAM, _VARIABLE).source()
    if not install:
        if as_json:
            print_json({"shell": shell, "script": script})
        else:
            echo_data(script)
        return
    with signals_held():
        written = _install(shell, script)
    if as_json:
        print_json({"shell": shell, "installed": list(map(str, written))})
    elif not is_quiet():
        print_rows([("installed", str(path)) for path in written])
        echo(f"\nIt acts in every new {shell}.")


def _own_shell() -> str:
    """Return the shell of the user.

    Raises
    ------
    UserError
        When it is none of those that can complete.
    """
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UserError(f"the shell {name!r} is not known; name one of {', '.join(SHELLS)}")
    return name


def _install(shell: str, script: str) -> list[Path]:
    """Write the script to where the shell looks for it, and return the files that were written.

    Raises
    ------
    UserError
        When a file cannot be written.
    """
    path = _place(shell)
    settings: Path | None = None
    lines = ""
    if shell == "bash":
        settings = _home() / ".bashrc"
        lines = f"[ -r {shlex.quote(str(path))} ] && . {shlex.quote(str(path))}  {_MARK}\n"
    elif shell == "zsh":
        settings = Path(os.environ.get("ZDOTDIR") or _home()) / ".zshrc"
        lines = (
            f"{_MARK}\n(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}\n"
            f"[ -r {shlex.quote(str(path))} ] && source {shlex.quote(str(path))}\n"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
        if settings is None:
            return [path]
        # It may be a link to a file elsewhere, and stays one.
        known = settings.read_text("utf-8", "surrogateescape") if settings.exists() else ""
        if lines not in known:
            with settings.open("a", encoding="utf-8") as file:
                file.write(("" if known.endswith("\n") or not known else "\n") + lines)
    except OSError as error:
        raise UserError(
            f"{error.filename or path}: cannot be written: {error.strerror}; fastmlp completion "
            f"{shell} prints the script"
        ) from None
    return [path, settings]


def _place(shell: str) -> Path:
    """Return the file of the script."""
    if shell == "fish":
        folder = os.environ.get("XDG_CONFIG_HOME") or _home() / ".config"
        return Path(folder, "fish", "completions", f"{PROGRAM}.fish")
    folder = Path(os.environ.get("XDG_DATA_HOME") or _home() / ".local" / "share")
    if shell == "bash":
        return folder / "bash-completion" / "completions" / PROGRAM
    return folder / "zsh" / "site-functions" / f"_{PROGRAM}"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UserError("there is no home folder to install to; print the script") from None


def column_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return the columns of DATA that begin with what was typed, for the shell to show.

    The first line of the file is looked at, and nothing is said where it tells no names.
    """
    data = context.params.get("data") or ()
    typed = [*([data] if isinstance(data, str) else data), *reversed(context.args)]
    path = next((str(name) for name in typed if os.path.isfile(str(name))), None)
    names = [] if path is None else _header(path, context.params.get("separator"))
    begin = incomplete.casefold()
    # A comma is between the parts of an answer to the shell.
    chosen = [n for n in names if n.casefold().startswith(begin) and "," not in n]
    return [CompletionItem(_for_shell(n)) for n in chosen if n and visible(n) == n]


def _header(path: str, separator: str | None) -> list[str]:
    """Return the names in the first line of a table that is no comment, or none."""
    opened = _OPENERS.get(Path(path).suffix.lower(), open)
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = file.readline(_LONGEST_LINE)
            while line.startswith("#"):
                line = file.readline(_LONGEST_LINE)
        found = separator or max(",;\t|", key=line.count)
        (names,) = csv.reader([line], delimiter=found, skipinitialspace=found != " ")
    except (OSError, EOFError, ValueError, csv.Error, lzma.LZMAError):
        return []
    return [name.strip() for name in names]


def _for_shell(name: str) -> str:
    """Escape a name where the shell does not: bash takes an answer as it is, backslashes once."""
    if not os.environ.get(_VARIABLE, "").startswith("bash"):
        return name
    return re.sub(r"([^\w@%+=:./-])", r"\\\\\1", name)
