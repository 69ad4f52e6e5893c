"""``fastmlp predict``: predictions for the rows of a table of any size."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from .completion import column_names
from .errors import Command, UserError, about, is_quiet, remark
from .models import load_table_model
from .options import called, data_argument, opened, table_options
from .signals import signals_held
from .terminal import echo_data, is_terminal, visible
from .types import FilePath


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@data_argument
@click.option(
    "-o",
    "--output",
    type=FilePath(allow_dash=True),
    help="File of the predictions: Parquet where it ends in .parquet, else CSV, which is "
    "compressed where it ends in .gz, .bz2, .xz or .zst.  [default: standard output, as for -]",
)
@click.option("--proba", is_flag=True, help="Print the probability of each class as well.")
@click.option(
    "--keep",
    multiple=True,
    metavar="COL",
    shell_complete=column_names,
    help="Column of DATA that is passed on, before the predictions. Can be repeated.",
)
@click.option(
    "--safe-csv",
    is_flag=True,
    help="Put an apostrophe before text that a spreadsheet would run as a formula.",
)
@table_options
def predict(
    model: Path,
    data: tuple[str, ...],
    output: Path | None,
    proba: bool,
    keep: tuple[str, ...],
    safe_csv: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Predict the target of every row of the table DATA with MODEL.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input. Rows are read, predicted and written some at a time, in their
    order, so that a table may be larger than the memory. The file of the predictions appears whole
    or not at all.
    """
    from fastmlp.export.files import check_output
    from fastmlp.tabular.predictions import predict_chunks

    from .output import print_json

    if output is not None:
        check_output(output)
        for source in (model, *map(Path, data)):
            if output.exists() and source.exists() and output.samefile(source):
                raise UserError(f"{output}: this is read, too; choose another name with -o")
    loaded = load_table_model(model, data)
    if proba and not hasattr(loaded, "predict_proba"):
        raise UserError(f"{model}: a regression model has no class probabilities")
    with about(Path(called(data))):
        found = predict_chunks(loaded, opened(data), proba=proba, keep=keep, **reading)
        if as_json:
            # One JSON object has all rows, so they are in memory.
            whole = list(found)
            rows = [row for frame in whole for row in frame.to_dict("records")]
            print_json({"predictions": rows})
            found = iter(whole)
        if output is not None:
            _write(found, output, safe_csv)
        elif not as_json:
            _print(found, safe_csv)


def _write(found: Iterator[Any], output: Path, is_safe: bool) -> None:
    """Write predictions to a file, which appears when all are there."""
    from fastmlp.export.files import written_aside
    from fastmlp.tabular.ahead import work_behind
    from fastmlp.tabular.writing import table_writer

    with ExitStack() as ending, written_aside(output) as aside:
        with table_writer(aside, output, is_safe=is_safe) as table:
            for _ in work_behind(table.write, found):
                pass
        ending.enter_context(signals_held())  # the file takes its place


def _print(found: Iterator[Any], is_safe: bool) -> None:
    """Print predictions as CSV: as it is for programs, without control characters for people."""
    from fastmlp.tabular.ahead import work_behind
    from fastmlp.tabular.writing import csv_text

    is_seen = is_terminal(sys.stdout)

    def text_of(part: tuple[int, Any]) -> str:
        place, frame = part
        if is_seen:
            frame = frame.rename(columns=visible)
            text = frame.select_dtypes(exclude=["number", "bool"]).columns
            frame[text] = frame[text].map(visible)
        return csv_text(frame, header=place == 0, is_safe=is_safe)

    has_all = True
    for text in work_behind(text_of, enumerate(found)):
        has_all &= echo_data(text)
    if not has_all and not is_quiet():
        remark(
            f"fastmlp: standard output has the encoding {sys.stdout.encoding}, and characters "
            "that it lacks are written as escapes; -o FILE writes UTF-8"
        )
