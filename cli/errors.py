"""Errors and warnings as single lines on standard error, and exit codes."""

import ast
import json
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

import click

from .docstrings import docstring_of

USAGE = 2
INTERRUPTED = 130


class UserError(click.ClickException):
    """A mistake in the input, which is printed as one line; the exit code is 2."""

    exit_code = USAGE

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on standard error."""
        click.echo(f"fastmlp: {self.format_message()}", err=True)


def remark(text: object) -> None:
    """Print a message as one line on standard error."""
    click.echo(" ".join(str(text).split()), err=True)


def in_shell_words(text: object, command: click.Command | None = None) -> str:
    """Replace the parameters in a message of the library by the options of a command.

    For example, ``test_size=0`` becomes ``--test-size 0``. Parameters of a model that have no
    flag become ``--set NAME=VALUE`` where the command has that option. Nothing changes within
    quotes and paths. A plain word such as task counts as a parameter only before an equals sign,
    in backticks, and as the first word of what must or must not be. Advice that can be followed
    in Python alone is left out.

    Parameters
    ----------
    text : str or exception
        The message.
    command : click.Command, optional
        The command whose options are used; by default the one that runs.

    Returns
    -------
    str
    """
    if command is None:
        context = click.get_current_context(silent=True)
        command = None if context is None else context.command
    options = {} if command is None else _options(command)
    further = _settable() if "further" in options else set()

    def shell_words(match: re.Match[str]) -> str:
        name = next(filter(None, match.group("quoted", "assigned", "first", "raised", "bare")), "")
        is_word = "_" not in name and name not in _NO_WORDS
        if name not in options.keys() | further or (match["bare"] and is_word):
            # The library marks a parameter by backticks, which mean something else in a shell.
            return name if match["quoted"] else match[0]
        if name not in options:
            return _setting(name, match["value"])
        option = options[name]
        return _with_value(option, match["value"]) if match["value"] else _flag(option)

    shown = _PARAMETER.sub(shell_words, _ONLY_IN_PYTHON.sub("", str(text)))
    return shown.replace("=....", "=...")  # the end of a sentence


_PARAMETER = re.compile(
    r"""`(?P<quoted>\w+)`
    | (?<=Increase\ )'(?P<raised>\w+)'  # as scikit-learn says it
    | (?<!\w)(?:'[^']*'|"[^"]*")  # a quotation, such as the name of a column
    | (?:^|(?<=[:;]\ ))(?P<first>[a-z]\w*)(?=\ has\ \d|\ must\ )
    | (?<![\w'"./\\=-])(?:
        (?P<assigned>\w+)=(?P<value>\[[^\]]*\] | \([^)]*\) | '[^']*' | "[^"]*" | [\w.+-]*\w)
        | (?P<bare>[a-z]\w*)(?![\w'"/\\:=(-]|\.\w)
    )""",
    re.VERBOSE,
)

# Parameters without an underscore that are no words of a sentence.
_NO_WORDS = {"alpha", "dropout", "tol"}

# The command line has no rows for validation but those that are held out, no weights of rows, and
# no values that are functions or objects.
_ONLY_IN_PYTHON = re.compile(
    r",? or pass eval_set=\([^)]*\) to fit"
    r"| and sample_weight\b"
    r"| or a (?:function|schedule of fastmlp\.schedules)\b"
)


def _settable() -> set[str]:
    """Return the names of the parameters of models for tables."""
    from inspect import signature

    from fastmlp import TabularClassifier, TabularRegressor

    return {*signature(TabularClassifier).parameters, *signature(TabularRegressor).parameters}


def _options(command: click.Command) -> Mapping[str | None, click.Option]:
    """Return the options of a command by the names of the library's parameters."""
    return {option.name: option for option in command.params if isinstance(option, click.Option)}


def _flag(option: click.Option) -> str:
    """Return the longest flag of an option."""
    return max(option.opts, key=len)


def flag_of(name: str, command: click.Command) -> str | None:
    """Return the flag of a command that sets a parameter of the library, or None without one."""
    option = _options(command).get(name)
    return None if option is None else _flag(option)


def _python_value(text: str) -> Any:
    """Return the value that is written in a message, or the text where it is no literal."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _setting(name: str, text: str | None) -> str:
    """Write ``--set`` with a parameter and its value; `text` is the value as Python writes it."""
    if text is None:
        return f"--set {name}=..."
    value = _python_value(text)
    shown = value if isinstance(value, str) else json.dumps(value)
    return f"--set {shlex.quote(f'{name}={shown}')}"


def _with_value(option: click.Option, text: str) -> str:
    """Write an option with a value for the shell; `text` is the value as Python writes it."""
    value = _python_value(text)
    flag = _flag(option)
    if isinstance(value, bool):
        return flag if value else max(option.secondary_opts, key=len, default=flag)
    if value is None or (value == "auto" and not isinstance(option.type, click.Choice)):
        return f"the default of {flag}"
    values = value if isinstance(value, list | tuple) else [value]
    words = [
        shlex.quote(f"{word:.15g}" if isinstance(word, float) else str(word)) for word in values
    ]
    if option.multiple:
        return " ".join(f"{flag} {word}" for word in words)
    return f"{flag} {','.join(words)}"


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Add the name of a file to errors about the table that was read from it."""
    from fastmlp.exceptions import DataError

    try:
        yield
    except DataError as error:
        if str(error).startswith(str(path)):
            raise
        raise DataError(f"{path}: {error}") from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line, in place of ``warnings.showwarning``."""
    remark(f"fastmlp: {in_shell_words(message)}")


class Command(click.Command):
    """A command whose errors are one line; ``--debug`` shows where they come from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = self.help or docstring_of(self.callback)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
            click.Option(["--debug"], is_flag=True, help="Show tracebacks of errors."),
        ]

    def invoke(self, context: click.Context) -> Any:
        """Run the command, and print an error as one line."""
        debug = context.params.pop("debug")
        try:
            from fastmlp.exceptions import DataWarning

            quiet = context.params.get("quiet", False)
            with warnings.catch_warnings():
                # Whatever PYTHONWARNINGS says: what a table is like is no error of the command.
                warnings.simplefilter("ignore" if quiet else "always", DataWarning)
                warnings.showwarning = _show_warning
                return super().invoke(context)
        except (click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # The program that reads the output has ended, such as head after its last line.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        except KeyboardInterrupt:
            click.echo("fastmlp: interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if debug:
                raise
            if isinstance(error, click.ClickException):
                raise
            from fastmlp.exceptions import InputError

            if isinstance(error, InputError | OSError):
                raise UserError(_one_line(in_shell_words(error))) from None
            if isinstance(error, ImportError):
                what = f"{_one_line(error)}; fastmlp doctor looks for what is missing or broken"
                raise UserError(what) from None
            name = type(error).__name__
            remark(f"fastmlp: internal error, {name}: {_one_line(error)} (see --debug)")
            raise click.exceptions.Exit(1) from None


def _one_line(error: object) -> str:
    """Write a message without line breaks, and cut a very long one."""
    text = " ".join(str(error).split())
    return text if len(text) <= 500 else text[:500] + " ..."
