"""Commands about the machine: ``warmup``, ``bench`` and ``doctor``."""

import sys

import click

from .errors import FAULT, Command, is_quiet
from .output import print_json
from .terminal import BAD, GOOD, echo, is_terminal


@click.command(cls=Command)
def warmup(as_json: bool) -> None:
    """Compile what is not compiled yet, so that no later fit has to.

    For container images and the like: run it once, as the user and on the processor that
    will train.
    """
    import time

    from fastmlp import warmup as compile_all

    def report(done: int, total: int, what: str) -> None:
        if not is_quiet():
            echo(f"[{done}/{total}] {what}", err=True)

    start = time.perf_counter()
    compile_all(report)
    seconds = time.perf_counter() - start
    if as_json:
        print_json({"seconds": seconds})
    else:
        echo(f"compiled, or found in files, in {seconds:.1f} s")


@click.command(cls=Command)
@click.option("--case", "names", multiple=True, help="Measure this case only. Can be repeated.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Type of the arithmetic.",
)
def bench(names: tuple[str, ...], dtype: str, as_json: bool) -> None:
    """Measure a training step beside scikit-learn's, in microseconds.

    Both train the same networks from the same weights on the same batches; their losses are
    compared first. Medians of five runs in turn. It takes about a minute.
    """
    from fastmlp.tools.bench import CASES, hardware, training_table

    known = [case.name for case in CASES]
    if unknown := set(names) - set(known):
        raise click.BadParameter(f"no case {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    header, *rows = training_table(dtype, names=names, report=_progress)
    if as_json:
        print_json({"hardware": hardware(), "cases": [dict(zip(header, row, strict=True))
                                                      for row in rows]})  # fmt: skip
        return
    for line in hardware():
        echo(line)
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _progress(text: str) -> None:
    """Print a line about progress if somebody can see it."""
    if is_terminal(sys.stderr) and not is_quiet():
        echo(text, err=True)


@click.command(cls=Command)
def doctor(as_json: bool) -> None:
    """Say what this machine has for training, and what is wrong with it.

    The exit code is 1 where there is a problem; --quiet shows problems alone.
    """
    from fastmlp.tools.doctor import examine

    from .output import print_rows

    facts, problems = examine()
    if as_json:
        print_json({**facts, "problems": problems})
    else:
        if not is_quiet():
            print_rows(list(facts.items()))
            echo()
        for problem in problems:
            echo(f"problem: {problem}", mark=BAD)
        if not problems and not is_quiet():
            echo("No problems.", mark=GOOD)
    if problems:
        raise click.exceptions.Exit(FAULT)
