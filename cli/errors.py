"""One line on stderr for what the user can mend, and exit codes."""

import os
import sys
import warnings
from contextlib import contextmanager

import click

USAGE = 2
INTERRUPTED = 130


class UserError(click.ClickException):
    """A mistake in the input: printed as one line, exit code 2."""

    exit_code = USAGE

    def show(self, file=None):
        click.echo(f"fastmlp: {self.format_message()}", err=True)


def remark(text):
    """One line on stderr, beside the results."""
    click.echo(" ".join(str(text).split()), err=True)


@contextmanager
def about(path):
    """Name the file in errors about the table that was read from it."""
    from fastmlp.exceptions import DataError

    try:
        yield
    except DataError as error:
        if str(error).startswith(str(path)):
            raise
        raise DataError(f"{path}: {error}") from error


def _show_warning(message, category, filename, lineno, file=None, line=None):
    remark(f"fastmlp: {message}")


class Command(click.Command):
    """A command whose errors are one line; ``--debug`` shows where they come from."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
            click.Option(["--debug"], is_flag=True, help="Show tracebacks of errors."),
        ]

    def invoke(self, context):
        debug = context.params.pop("debug")
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(context)
        except (click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # Whoever read our output has gone; so has the reason to go on.
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
                raise UserError(_one_line(error)) from None
            name = type(error).__name__
            remark(f"fastmlp: internal error, {name}: {_one_line(error)} (see --debug)")
            raise click.exceptions.Exit(1) from None


def _one_line(error):
    """The message of an error, without line breaks and without the whole of an array."""
    text = " ".join(str(error).split())
    return text if len(text) <= 500 else text[:500] + " ..."
