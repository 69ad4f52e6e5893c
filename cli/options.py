"""The options that several commands share, and what ``-`` stands for."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from .completion import column_names
from .errors import UserError
from .types import DataPath

STANDARD_INPUT = "standard input"


def _separator(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Read the value of ``--sep``."""
    if text in ("tab", r"\t"):
        return "\t"
    if text is not None and len(text) != 1:
        raise click.BadParameter(f"{text!r} is not a single character")
    return text


def opened(data: str | Sequence[str]) -> Any:
    """Return what the argument DATA stands for: standard input for ``-``, otherwise the path.

    For several arguments it is a list.
    """
    if not isinstance(data, str):
        if list(data).count("-") > 1:
            raise UserError(f"{STANDARD_INPUT}: is named twice, and can be read only once")
        files = [opened(name) for name in data]
        return files[0] if len(files) == 1 else files
    if data != "-":
        return data
    if sys.stdin is None or sys.stdin.closed:
        raise UserError(f"{STANDARD_INPUT}: is closed")
    if sys.stdin.isatty():
        raise UserError(f"{STANDARD_INPUT}: is a terminal; pipe a table into it, or name a file")
    return sys.stdin.buffer


def called(data: str | Sequence[str]) -> str:
    """Return how messages call the argument DATA, or the first of several and their number."""
    if isinstance(data, str):
        return STANDARD_INPUT if data == "-" else data
    more = f" and {len(data) - 1} more" if len(data) > 1 else ""
    return called(data[0]) + more


def data_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument DATA, one file of a table or several; its value is a tuple of names."""
    return click.argument("data", nargs=-1, required=True, type=DataPath())(command)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is learned from a table."""
    for option in (
        click.option("--task", type=click.Choice(["auto", "classification", "regression"]),
                     default="auto", show_default=True, help="Kind of the target."),
        click.option("--target", multiple=True, metavar="COL", shell_complete=column_names,
                     help="Target column; repeated for a regression of several.  [default: the "
                          "last one]"),
    ):  # fmt: skip
        command = option(command)
    return command


def column_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which columns of a table a model is made of."""
    for option in (
        click.option("--drop", multiple=True, metavar="COL", shell_complete=column_names,
                     help="Column that is not used. Can be repeated."),
        click.option("--text", multiple=True, metavar="COL", shell_complete=column_names,
                     help="Column that is text as it stands in the file: the code 01 is no number, "
                          "NA no missing value. Can be repeated."),
    ):  # fmt: skip
        command = option(command)
    return command


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that reads a table: what they say holds for CSV files."""
    for option in (
        click.option("--na", "na_values", multiple=True, metavar="TEXT",
                     help="Further mark of a missing value, such as '?'. Can be repeated. A model "
                          "remembers those of its training."),
        click.option("--header/--no-header", default=None,
                     help="Whether the first line has the names of the columns; otherwise they "
                          "are called 1, 2, and so on. A model remembers it.  [default: as the "
                          "file shows]"),
        click.option("--decimal", type=click.Choice([",", "."]),
                     help="Decimal mark of numbers. A model remembers it."),
        click.option("--encoding",
                     help="Character encoding.  [default: utf-8, or as the file shows]"),
        click.option("--sep", "separator", callback=_separator,
                     help="Character between fields; 'tab' for a tab.  [default: as the file "
                          "shows]"),
    ):  # fmt: skip
        command = option(command)
    return command
