"""The options that several commands share."""

from collections.abc import Callable
from typing import Any

import click


def _separator(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Read the value of ``--sep``."""
    text = "\t" if text in ("tab", r"\t") else text
    if len(text) != 1:
        raise click.BadParameter(f"{text!r} is not a single character")
    return text


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that reads a CSV file."""
    for option in (
        click.option("--na", "na_values", multiple=True, metavar="TEXT",
                     help="Further mark of a missing value, such as '?'. Can be repeated. A model "
                          "remembers those of its training."),
        click.option("--encoding", default="utf-8", show_default=True,
                     help="Character encoding of the file."),
        click.option("--sep", "separator", default=",", show_default=True, callback=_separator,
                     help="Character between fields; 'tab' for a tab."),
    ):  # fmt: skip
        command = option(command)
    return command
