"""``fastmlp demo``: classic experiments, each with a table, a few sentences and a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError
from .signals import signals_held
from .terminal import echo, visible
from .types import FilePath


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--list", "list_names", is_flag=True, help="List the demos.")
@click.option("--plot", type=FilePath(), help="Draw a picture: .png, .pdf, .svg and others.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Seed of the data and of the initial weights.",
)
@click.option(
    "--data",
    type=FilePath(),
    help="For digits: a file of images, .npz (x_train, y_train) or CSV with a column of labels.",
)
def demo(
    name: str | None,
    list_names: bool,
    plot: Path | None,
    seed: int,
    data: Path | None,
    as_json: bool,
) -> None:
    """Run the classic experiment NAME with multilayer perceptrons, in seconds.

    Without NAME, list them. Pictures need the plot extra: pip install 'fastmlp[plot]'.
    """
    from fastmlp import demos

    from .output import print_json, print_rows

    if name is None or list_names:
        if plot is not None or data is not None:
            raise UserError("name a demo: --plot and --data are for one of them")
        lines = [(known, demos.summary(known)) for known in demos.names()]
        if as_json:
            print_json({"demos": dict(lines)})
        else:
            print_rows(lines)
        return
    about = demos.about(name)  # raises an error for an unknown name, before any work is done
    if data is not None and name != "digits":
        raise UserError(f"--data is for the demo digits; {name} makes its own data")
    if plot is not None:
        from fastmlp.plotting import check_picture, new_figure, save

        check_picture(plot)
    result = demos.run(name, seed, **({} if data is None else {"data": data}))
    if plot is not None:
        figure = result.plot(new_figure(*result.size))
        with signals_held():
            save(figure, plot)
    if as_json:
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        print_json({
            "demo": result.name, "title": result.title, "topic": about.topic, "seed": seed,
            "rows": rows, "findings": result.findings, "lesson": result.lesson,
            "playground": about.lesson or None, "plot": None if plot is None else str(plot),
        })  # fmt: skip
        return
    echo(f"{result.title}\n")
    _print_table(result.columns, result.rows)
    for text in (*result.findings, result.lesson):
        echo("\n" + click.wrap_text(visible(text), width=88))
    echo(f"\ntopic: {about.topic}")
    if about.lesson:
        echo(f"to try it: fastmlp playground --lesson {about.lesson}")
    if plot is not None:
        echo(f"picture: {visible(plot)}")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns; the cells of unknown numbers stay empty."""
    cells = [[_cell(*pair) for pair in zip(columns, row, strict=True)] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        first, *others = zip(row, widths, strict=True)
        line = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        echo("  ".join(line).rstrip())


def _cell(column: str, value: Any) -> str:
    """Write a value as its column shows it."""
    if not isinstance(value, float):
        return visible(value)
    if math.isnan(value):
        return ""
    return f"{value:.1%}" if "accuracy" in column else f"{value:.3g}"
