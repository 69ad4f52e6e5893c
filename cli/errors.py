"""Errors and warnings as single lines on standard error, and exit codes."""

import ast
import json
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from .docstrings import docstring_of
from .signals import is_interrupted
from .terminal import DOUBTFUL, echo, one_line
from .types import FilePath

FAULT = 1
USAGE = 2
INTERRUPTED = 130

_QUIET = "fastmlp.quiet"


class UserError(click.ClickException):
    """A mistake in the input, which is printed as one line; the exit code is 2."""

    exit_code = USAGE


class _Fault(click.ClickException):
    """A fault of this program, which is printed as one line; the exit code is 1."""

    exit_code = FAULT


class Interrupted(click.ClickException):
    """The command was asked to end, and nothing is written; the exit code is 130."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")


def remark(text: object) -> None:
    """Print a message as one line on standard error."""
    echo(one_line(text, 1000), err=True)


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

    def shell_words(match: re.Match[str]) -> str:
        name = next(filter(None, match.group("quoted", "assigned", "first", "raised", "bare")), "")
        is_word = "_" not in name and name not in _NO_WORDS
        if not name or (match["bare"] and is_word):
            return match[0]
        # Without --set, and for most messages with it, the estimators need not be imported.
        if name not in options and ("further" not in options or name not in _settable()):
            # The library marks a parameter by backticks, which mean something else in a shell.
            return name if match["quoted"] else match[0]
        if name not in options:
            return _setting(name, match["value"])
        option = options[name]
        return _with_value(option, match["value"]) if match["value"] else _flag(option)

    plain = str(text)
    if "resume" in options:
        plain = plain.replace("the same call goes on with", "--resume goes on with")
    shown = _PARAMETER.sub(shell_words, _ONLY_IN_PYTHON.sub("", plain))
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
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _setting(name: str, text: str | None) -> str:
    """Write ``--set`` with a parameter and its value; `text` is the value as Python writes it."""
    if text is None:
        return f"--set {name}=..."
    value = _python_value(text)
    try:
        shown = value if isinstance(value, str) else json.dumps(value)
    except TypeError:  # JSON has no such value, and the option takes Python's way as well
        shown = text
    return f"--set {shlex.quote(f'{name}={shown}')}"


def _with_value(option: click.Option, text: str) -> str:
    """Write an option with a value for the shell; `text` is the value as Python writes it."""
    value = _python_value(text)
    flag = _flag(option)
    if isinstance(value, bool):
        if not option.secondary_opts:
            is_set = value is not flag.startswith("--no-")
            return flag if is_set else f"the default of {flag}"
        return flag if value else max(option.secondary_opts, key=len)
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
def about(path: Path, frame: Any = None) -> Iterator[None]:
    """Add the name of a file to errors about the table that was read from it.

    Parameters
    ----------
    path : Path
    frame : pandas.DataFrame, optional
        The table. Where each of its rows has one line in the file, that is named, too.
    """
    from fastmlp.exceptions import DataError

    try:
        yield
    except DataError as error:
        if str(error).startswith(str(path)):
            raise
        above = None if frame is None else frame.attrs.get("lines_above")
        message = str(error) if above is None else _with_line(str(error), above)
        raise DataError(f"{path}: {message}") from error


_ROW = re.compile(r"""(?<!\w)(?:'[^']*'|"[^"]*")|\bin row (?P<number>\d+)\b(?! was read)""")


def _with_line(message: str, lines_above: int) -> str:
    """Add the line of a file to the number of a row, which is not part of a quotation."""

    def add_line(match: re.Match[str]) -> str:
        if match["number"] is None:
            return match[0]
        return f"{match[0]} (line {int(match['number']) + lines_above})"

    return _ROW.sub(add_line, message)


class Command(click.Command):
    """A command whose errors are one line; ``--debug`` shows where they come from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = self.help or docstring_of(self.callback)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
            click.Option(
                ["--config"],
                type=FilePath(),
                is_eager=True,
                expose_value=False,
                callback=_read_config,
                help="TOML file of options, a section for each command; typed ones win.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show tracebacks of errors."),
        ]
        if not any(option.name == "quiet" for option in self.params):
            self.params.append(
                click.Option(
                    ["--quiet"],
                    is_flag=True,
                    expose_value=False,
                    callback=_note_quiet,
                    help="No progress and no remarks.",
                )
            )

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; an error about a value of --config names that file."""
        try:
            return super().parse_args(context, args)
        except click.BadParameter as error:
            from .config import in_config

            raise in_config(context, error) or error from None

    def invoke(self, context: click.Context) -> Any:
        """Run the command, and print an error as one line."""
        debug = context.params.pop("debug")
        quiet = context.params.get("quiet", False) or is_quiet()
        with errors_as_lines(debug), _warnings_as_lines(quiet):
            if sys.stdout is None:
                raise UserError("standard output is closed; send it to a file or to /dev/null")
            return super().invoke(context)


def _note_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_QUIET] = value


def is_quiet() -> bool:
    """Tell whether the command that runs was asked for no progress and no remarks."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def _read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Read the file of ``--config``, before the other options."""
    if path is not None and not context.resilient_parsing:
        from .config import read_config

        read_config(path, context)


@contextmanager
def _warnings_as_lines(quiet: bool) -> Iterator[None]:
    """Show each warning as one line, once; `quiet` leaves out remarks on the data."""
    from fastmlp.exceptions import DataWarning

    shown = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = in_shell_words(message)
        if text not in shown:
            shown.add(text)
            echo(one_line(f"fastmlp: {text}", 1000), err=True, mark=DOUBTFUL)

    with warnings.catch_warnings():
        # Whatever PYTHONWARNINGS says: what a table is like is no error of the command.
        warnings.simplefilter("ignore" if quiet else "always", DataWarning)
        warnings.showwarning = show
        yield


@contextmanager
def errors_as_lines(debug: bool) -> Iterator[None]:
    """Turn what is raised in the block into an error that click shows as one line.

    Parameters
    ----------
    debug : bool
        Whether errors stay as they are, for their traceback.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BrokenPipeError:
        # The program that reads the output has ended, such as head after its last line.
        raise click.exceptions.Exit(0) from None
    except KeyboardInterrupt:
        raise Interrupted from None
    except Exception as error:
        if is_interrupted():
            raise Interrupted from None
        if debug:
            raise
        raise _as_line(error) from None


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error: whether it is one in the input, or a fault of ours."""
    from fastmlp.exceptions import DivergenceError, InputError

    of_input = InputError | DivergenceError | OSError | MemoryError | ImportError
    return USAGE if isinstance(error, of_input) else FAULT


def _as_line(error: Exception) -> click.ClickException:
    """Return an error that click shows as one line."""
    if isinstance(error, MemoryError):
        detail = f" ({in_shell_words(error)})" if str(error) else ""
        return UserError(
            f"there is not enough memory{detail}; take fewer hidden units, columns or rows"
        )
    if isinstance(error, ImportError):
        return UserError(f"{error}; fastmlp doctor looks for what is missing or broken")
    if exit_code(error) == USAGE:
        return UserError(in_shell_words(error))
    name = type(error).__name__
    return _Fault(f"internal error, {name}: {one_line(error)} (see --debug)")
