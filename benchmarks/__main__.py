"""Run the benchmarks and write their tables: ``python -m benchmarks``."""

import os
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click

from fastmlp.tools.bench import CASES, hardware

from . import (
    gradients,
    grid_search,
    inference,
    many,
    options,
    scaling,
    small,
    sparse,
    start,
    threads,
    training,
)
from .peers import available_peers

RESULTS = Path(__file__).parent / "results"


def markdown(rows):
    """A table; the first row is its header."""
    header, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (header, *body)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)


FLOAT64_CASES = ["letter", "mnist50"]
PARTS = {
    "training": ("A training step, float32", partial(training.table, dtype="float32")),
    "float64": (
        "A training step, float64",
        partial(training.table, dtype="float64", names=FLOAT64_CASES),
    ),
    "scaling": ("One thread and more", scaling.table),
    "inference": ("Predicted probabilities of many rows, float32", inference.table),
    "gradients": ("Input gradients, float32", gradients.table),
    "small": ("Predictions of a few rows, and fits of small tables", small.table),
    "sparse": ("A training step on sparse inputs", sparse.table),
    "start": ("Imports and first fits", start.table),
    "many": ("Many networks at once, networks a second", many.table),
    "grid": ("A grid search", grid_search.table),
    "threads": ("A training step beside busy neighbours, float32", threads.table),
    "plan": ("A training step by up to 64 threads, by count, float32", threads.plan_table),
    "options": ("What options cost a training step, float32", options.table),
}
assert len({case.name for case in CASES}) == len(CASES)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--name", default="cpu", show_default=True, help="Start of the result files' names.")
def main(parts, name):
    """Measure PARTS (all by default) and write each table to benchmarks/results.

    Two others are commands of their own: python -m benchmarks.gpu measures on a GPU, and
    python -m benchmarks.quality compares models on real tables.
    """
    RESULTS.mkdir(exist_ok=True)
    others = [p for p in ("torch", "jax") if p in str(list(available_peers()))]
    versions = "".join(f", {p} {version(p)}" for p in others)
    for part in parts or PARTS:
        title, measure = PARTS[part]
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        text = markdown(measure(lambda line: click.echo(line, err=True)))
        first, second = hardware()
        if hasattr(os, "getloadavg"):
            first += f", load {load:.1f} before"
        note = f"{first}; {second}{versions}; {date.today()}. Medians of at least 5 runs in turn."
        (RESULTS / f"{name}-{part}.md").write_text(f"# {title}\n\n{note}\n\n{text}\n")
        click.echo(f"\n{title}\n\n{text}")


main()
