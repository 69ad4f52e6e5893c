"""Scores with intervals for people, and the command ``compare``."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about
from .models import load_table_model
from .options import called, data_argument, opened, table_options
from .output import called_targets, print_json, print_rows, shown_metric
from .terminal import DOUBTFUL, GOOD, echo, visible
from .types import FilePath, FiniteRange

# The metrics of a group, of which the first has its interval.
_OF_GROUPS = (
    ("pinball_loss",),
    ("accuracy", "balanced_accuracy", "log_loss", "roc_auc"),
    ("rmse", "mae", "r2"),
    ("r2",),
)
_FEW_ROWS = 20


def print_scores(found: Mapping[str, Any]) -> None:
    """Print metrics below each other, with their intervals.

    Parameters
    ----------
    found : dict
        As from :func:`fastmlp.tabular.evaluation.measure`.
    """
    echo()
    if "targets" in found:
        _print_targets(found)
        return
    header = ["", "value"]
    if "level" in found:
        header.append(f"{100 * found['level']:g} % interval")
    lines = [header]
    for name in _metrics_of(found):
        line = [shown_metric(name), _number(found[name])]
        if "level" in found:
            line.append(_interval(found["intervals"], name) or "unknown")
        lines.append(line)
    _print_table(lines)


def _print_targets(found: Mapping[str, Any]) -> None:
    """Print a line for each target, R^2 with its interval."""
    header = ["target", shown_metric("r2"), shown_metric("rmse"), shown_metric("mae")]
    lines = [header]
    for part in found["targets"]:
        numbers = (_number(part[name]) for name in ("r2", "rmse", "mae"))
        lines.append([visible(str(part["target"])), *numbers])
    if "intervals" in found:
        header.insert(2, "interval")
        for line, part in zip(lines[1:], found["intervals"]["targets"], strict=True):
            line.insert(2, _interval(part, "r2"))
    _print_table(lines)


def print_groups(column: str, groups: Iterable[Mapping[str, Any]]) -> None:
    """Print a line for each group of rows.

    Parameters
    ----------
    column : str
        Whose values make the groups.
    groups : iterable of dict
        As from :func:`fastmlp.tabular.evaluation.measure`.
    """
    groups = list(groups)
    known = {name for group in groups for name in _metrics_of(group)}
    usual = next(names for names in _OF_GROUPS if names[0] in known)
    names = [name for name in usual if name in known]
    header = [visible(column), "rows", *map(shown_metric, names)]
    if "intervals" in groups[0]:
        header.insert(3, "interval")
    lines = [header]
    few = any(group["rows"] < _FEW_ROWS for group in groups)
    for group in groups:
        mark = "*" if group["rows"] < _FEW_ROWS else ""
        values = [_number(group[name]) if name in group else "" for name in names]
        if "intervals" in group:
            values.insert(1, _interval(group["intervals"], names[0]))
        lines.append([visible(group["group"]), f"{group['rows']}{mark}", *values])
    echo()
    _print_table(lines)
    if few:
        echo(f"* fewer than {_FEW_ROWS} rows, so that these scores say little")


def warn_of_trained_rows(path: Path, model: Any, frame: Any) -> None:
    """Warn if a model was trained on many of the rows that it is measured on.

    Parameters
    ----------
    path : Path
        Of the model's file.
    model : TabularClassifier or TabularRegressor
    frame : pandas.DataFrame
        With the target among its columns.
    """
    from fastmlp.exceptions import DataWarning, warn_user
    from fastmlp.tabular.trained_rows import share_trained_on

    share = share_trained_on(model, frame)
    if share:
        part = "these rows" if share == 1 else f"about {100 * share:.0f} % of these rows"
        warn_user(
            f"{path} was trained on {part}, so its scores are too good; measure it on others",
            DataWarning,
        )


def _number(value: float, sign: str = "") -> str:
    """Write a score; errors of large and of small targets keep four digits."""
    is_usual = value == 0 or 0.01 <= abs(value) < 100_000
    return f"{value:{sign}.4f}" if is_usual else f"{value:{sign}.4g}"


def _metrics_of(found: Mapping[str, Any]) -> list[str]:
    names = [name for name, value in found.items() if isinstance(value, float)]
    return [name for name in names if name != "level"]


def _interval(ranges: Mapping[str, Any], name: str) -> str:
    range_ = ranges.get(name)
    return "" if range_ is None else " to ".join(map(_number, range_))


def _print_table(lines: list[list[str]]) -> None:
    """Print cells in columns, of which the first begins at the left."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        echo("  ".join([first.ljust(widths[0]), *cells]).rstrip())


@click.command(cls=Command)
@click.argument("a", type=FilePath())
@click.argument("b", type=FilePath())
@data_argument
@click.option(
    "--level",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Level of the intervals.",
)
@table_options
def compare(
    a: Path,
    b: Path,
    data: tuple[str, ...],
    level: float,
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Compare the models A and B on the table DATA, which has the target column.

    Both predict the same rows, which neither should have been trained on, and the differences of
    their scores have intervals of confidence (bootstrap by rows). Where the interval of the
    metric that decides has 0 in it, it cannot be told which model is better. A line says so where
    one was trained on many of the rows.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.
    """
    from fastmlp.exceptions import DataError
    from fastmlp.tabular import evaluation
    from fastmlp.tabular.train import read_for

    models = [load_table_model(path, data) for path in (a, b)]
    try:
        evaluation.check_comparable(*models)
    except DataError as error:
        raise UserError(f"{a} and {b}: {error}") from None
    sources = opened(data)
    # Each is read twice, which standard input cannot be.
    contents = [
        source if isinstance(source, str) else source.read()
        for source in (sources if isinstance(sources, list) else [sources])
    ]
    frames = [
        read_for(
            model,
            [part if isinstance(part, str) else BytesIO(part) for part in contents],
            na_values=na_values,
            allow_empty=False,
            **reading,
        )
        for model in models
    ]
    with about(Path(called(data)), frames[0]):
        found = evaluation.compare(*models, *frames, level=level)
    for path, (model, frame) in {a: (models[0], frames[0]), b: (models[1], frames[1])}.items():
        warn_of_trained_rows(path, model, frame)
    if as_json:
        print_json({"a": str(a), "b": str(b), "target": models[0].target_name_, **found})
        return
    print_rows([("A", str(a)), ("B", str(b)), ("rows", str(found["rows"])),
                called_targets(models[0].target_name_)])  # fmt: skip
    lines = [["", "A", "B", "B - A", f"{100 * level:g} % interval"]]
    for name, metric in found["metrics"].items():
        range_ = metric["interval"]
        shown = (
            "unknown" if range_ is None else " to ".join(_number(bound, "+") for bound in range_)
        )
        numbers = *(_number(metric[model]) for model in "ab"), _number(metric["difference"], "+")
        lines.append([shown_metric(name), *numbers, shown])
    echo()
    _print_table(lines)
    echo()
    echo(_sentence(found), mark=GOOD if found["better"] else DOUBTFUL)


def _sentence(found: Mapping[str, Any]) -> str:
    """Say which of two models is better, or that it cannot be told."""
    name = shown_metric(found["metric"])
    metric, better = found["metrics"][found["metric"]], found["better"]
    if metric["a"] == metric["b"] and metric["interval"] in (None, [0.0, 0.0]):
        return f"A and B have the same {name} on these rows."
    if better is None:
        why = "the rows are too few for an interval" if metric["interval"] is None else (
            f"the interval of the difference in {name} has 0 in it"
        )  # fmt: skip
        return f"It cannot be told which is better: {why}."
    low, high = sorted(abs(bound) for bound in metric["interval"])
    is_higher = metric["difference"] > 0
    way = "higher" if is_higher == (better == "b") else "lower"
    return (
        f"{better.upper()} is better: its {name} is {way} by {abs(metric['difference']):.4g} "
        f"({100 * found['level']:g} % interval {low:.4g} to {high:.4g})."
    )
