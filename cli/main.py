"""The ``fastmlp`` command, which collects the commands of the other modules.

A command parses its arguments, calls the library and prints. Results go to standard output,
progress and remarks to standard error. Heavy imports wait until a command runs, so that help is
quick.
"""

from typing import Any

import click

from .demo import demo
from .docstrings import docstring_of
from .fit import fit
from .speed import bench, doctor, warmup
from .streams import open_closed_streams
from .use import evaluate, export, info, predict


class _Commands(click.Group):
    """Commands that help lists in the order in which a user needs them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = self.help or docstring_of(self.callback)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command that the arguments name."""
        open_closed_streams()
        return super().main(*args, **kwargs)

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="fastmlp", message="%(prog)s %(version)s")
def main() -> None:
    """Train multilayer perceptrons on tables, and use them.

    \b
    fastmlp fit data.csv             train on a CSV, the last column being the target
    fastmlp predict MODEL new.csv    predict the target of new rows
    fastmlp demo                     list classic experiments to run

    Results go to standard output, all else to standard error. Exit codes: 0 success, 1 a fault
    of this program, 2 a mistake in the input, 130 interrupted with nothing written.
    """  # noqa: D301 (click looks for the control character itself)


for command in (fit, predict, evaluate, info, export, demo, bench, warmup, doctor):
    main.add_command(command)
