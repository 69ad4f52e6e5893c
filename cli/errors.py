"""One line on stderr for what the user can mend, and exit codes."""

import os
import sys

import click

USAGE = 2
INTERRUPTED = 130


class UserError(click.ClickException):
    """A mistake in the input: printed as one line, exit code 2."""

    exit_code = USAGE

    def show(self, file=None):
        click.echo(f"fastmlp: {self.format_message()}", err=True)


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
            from fastmlp.errors import InputError

            if isinstance(error, InputError | OSError):
                raise UserError(" ".join(str(error).split())) from None
            name = type(error).__name__
            click.echo(f"fastmlp: internal error, {name}: {error} (see --debug)", err=True)
            raise click.exceptions.Exit(1) from None
