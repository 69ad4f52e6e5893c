"""``fastmlp report``: a page on how good a model is and what it does; also for ``fit --report``."""

import os
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about, remark
from .models import load_table_model
from .options import called, data_argument, opened, table_options
from .signals import forget_signals
from .types import FilePath


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@data_argument
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    help="HTML file of the report.  [default: the name of MODEL with the ending .html, here]",
)
@table_options
def report(
    model: Path,
    data: tuple[str, ...],
    output: Path | None,
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Write a page on how good MODEL is on the table DATA, and on what it does.

    DATA has the target column; it is a file of CSV, which may be compressed, or of Parquet, or
    several of them with the same columns; - is standard input. Where it is the table that the model
    was trained on, the page is on the rows that were held out then. The page is one HTML file,
    which loads nothing from elsewhere.

    Needs the report extra: pip install 'fastmlp[report]'.
    """
    from fastmlp.tabular import train

    from .output import print_json, print_rows

    output = output or Path(f"{model.stem}.html")
    check_report_path(output, [model, *map(Path, data)])
    loaded = load_table_model(model, data)
    frame = train.read_for(loaded, opened(data), na_values=na_values, allow_empty=False, **reading)
    from fastmlp.reports.writing import report_on_table  # a file that cannot be read needs no more

    with about(Path(called(data)), frame):
        found = report_on_table(loaded, frame, output)
    if as_json:
        print_json({**found, "report": str(output)})
        return
    print_rows([
        ("rows", f"{found['rows']}, {_SEEN[found['seen']]}"),
        *_metrics(found),
        ("report", str(output)),
    ])  # fmt: skip


_SEEN = {
    "held out": "which were held out when the model was trained on this table",
    "trained on": "on which the model was trained",
    "unknown": "whether the model was trained on some of them cannot be known",
}


def _metrics(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each metric with its interval, or for each of several targets its R^2."""
    from .output import shown_metric

    if "targets" in found:
        return [(str(one["target"]), f"R2 {_number(one['metrics']['r2'])}")
                for one in found["targets"]]  # fmt: skip
    return [(shown_metric(name), _number(one)) for name, one in found["metrics"].items()]


def _number(metric: dict[str, float]) -> str:
    shown = f"{metric['value']:.4g}"
    if metric["low"] <= metric["high"]:
        shown += f"  (95 % interval {metric['low']:.4g} to {metric['high']:.4g})"
    return shown


def check_report_path(path: Path, others: list[Path]) -> None:
    """Refuse a report that could not be written.

    Parameters
    ----------
    path : Path
    others : list of Path
        What the command reads and writes beside it.

    Raises
    ------
    UserError
        When the file is one of the others.
    InputError
        When a package is missing, or when the path cannot be written.
    """
    if os.path.realpath(path) in [os.path.realpath(other) for other in others]:
        raise UserError(f"{path}: this is another file of this command; choose another report")
    from fastmlp.reports.writing import check_report

    check_report(path)


def report_of_fit(model: Any, frame: Any, path: Path, output: Path) -> bool:
    """Write the report of a model that was just trained and written.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    frame : pandas.DataFrame
        The table that it was trained on.
    path : Path
        The file of the report.
    output : Path
        That of the model.

    Returns
    -------
    bool
        False if Ctrl-C or a signal has ended the report, which is not written then.

    Raises
    ------
    UserError
        When the report cannot be made or written; the message says that the model is there.
    """
    from fastmlp.exceptions import InputError
    from fastmlp.reports.writing import report_on_table

    try:
        report_on_table(model, frame, path, is_its_own=True)
    except KeyboardInterrupt:
        forget_signals()
        remark(f"interrupted; the model is in {output}, and there is no report")
        return False
    except (InputError, OSError) as error:
        raise UserError(f"{error}; the model is in {output}, and there is no report") from error
    return True
