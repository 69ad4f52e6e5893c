"""The ``fastmlp`` command, which collects the commands of the other modules.

A command parses its arguments, calls the library and prints. Results go to standard output,
progress and remarks to standard error. Heavy imports wait until a command runs, so that help is
quick.
"""

import os
import signal
import sys
from typing import Any

try:
    import click

    from .completion import completion
    from .demo import demo
    from .docstrings import docstring_of
    from .errors import INTERRUPTED, errors_as_lines, exit_code
    from .export import export
    from .fit import fit
    from .playground import playground
    from .predict import predict
    from .report import report
    from .scores import compare
    from .serve import serve
    from .signals import ending_by_signals, ignore_signals, signals_held
    from .speed import bench, doctor, warmup
    from .terminal import echo, end_output, show_error
    from .tune import tune
    from .use import evaluate, info
except KeyboardInterrupt:
    # Nobody else can answer Ctrl-C yet.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.stderr is not None:
        sys.stderr.write("fastmlp: interrupted\n")
    raise SystemExit(130) from None


class _Commands(click.Group):
    """Commands that help lists in the order in which a user needs them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = self.help or docstring_of(self.callback)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the options before the name of a command."""
        debug = "--debug" in args
        with errors_as_lines(debug):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta["fastmlp.debug"] = debug
        return context

    def invoke(self, context: click.Context) -> Any:
        """Parse the arguments of a command, and run it."""
        with errors_as_lines(context.meta["fastmlp.debug"]):
            return super().invoke(context)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit; signals end it in order."""
        is_standalone = extra.get("standalone_mode", True)
        extra["standalone_mode"] = False  # click's own way of ending has other words and codes
        if not is_standalone:
            return super().main(*args, **extra)
        with ending_by_signals():
            try:
                code = super().main(*args, **extra)
            except click.ClickException as error:
                typed = args[0] if args else extra.get("args")
                with signals_held():
                    show_error(error, is_short="--json" in (typed or sys.argv[1:]))
                code = error.exit_code
            except click.Abort:
                code = INTERRUPTED
        sys.exit(code or 0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Be the program that a process runs."""
        _open_standard_streams()
        try:
            try:
                self.main(*args, **kwargs)
            except Exception as error:  # after --debug
                from traceback import format_exc

                echo(format_exc(), err=True)
                sys.exit(exit_code(error))
            finally:
                ignore_signals()
                end_output()
        except (SystemExit, KeyboardInterrupt) as end:
            if isinstance(end, SystemExit) and end.code != INTERRUPTED:
                raise
            # Python would end itself by SIGINT where Ctrl-C came while a library called Python
            # from C, and shells alone take that for this exit code.
            os._exit(INTERRUPTED)


def _open_standard_streams() -> None:
    """Let no file that is opened later become standard output or standard error.

    A process may be started with them closed. The first file that it opens takes the place, and
    what libraries print would go into a model.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="fastmlp", message="%(prog)s %(version)s")
def main() -> None:
    """Train multilayer perceptrons on tables, and use them.

    \b
    fastmlp fit data.csv             train on a CSV, the last column being the target
    fastmlp tune data.csv            search for a better model
    fastmlp predict MODEL new.csv    predict the target of new rows
    fastmlp demo                     list classic experiments to run

    Results go to standard output, all else to standard error. Exit codes: 0 success, 1 a fault
    of this program or a problem that doctor finds, 2 a mistake in the input, 130 interrupted with
    nothing written.
    """  # noqa: D301 (click looks for the control character itself)


for command in (
    fit,
    tune,
    predict,
    evaluate,
    compare,
    report,
    serve,
    info,
    export,
    demo,
    playground,
    bench,
    warmup,
    doctor,
    completion,
):
    main.add_command(command)
