"""Reports on models: which rows they are on, what they say, and the file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from ..exceptions import DataError, InputError, collected_warnings
from ..export.files import check_output, written_aside
from ..tabular.base import BaseTabular
from ..tabular.frames import as_pandas, check_frame, read_frame, read_targets
from ..tabular.several import target_names
from ..tabular.train import held_out_rows
from . import of_classes, of_numbers
from .blocks import Block, Cell, Grid, Page, Section
from .figures import plain_style, require_matplotlib
from .of_columns import column_blocks
from .of_data import data_blocks
from .of_training import training_blocks
from .page import is_report, render, require_jinja
from .quality import MODEL, Evaluated, evaluate, quality_blocks
from .rows import HELD_OUT, TRAINED_ON, UNKNOWN, Subject, make_subject
from .texts import count, listed, quoted, shown, with_interval

_MOST_TARGETS = 5


def write_report(
    model: Any,
    X: Any,
    y: Any,
    path: str | os.PathLike[str],
    *,
    X_train: Any = None,
    y_train: Any = None,
) -> None:
    """Write a page of HTML on how good a model of tables is, and on what it does.

    The page is one file that needs no network: metrics with intervals beside those of a linear
    model and of a trivial one, what is taken for what, calibration, the importance of the
    columns, what the table is like, and how the model was trained.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    X : data frame or array-like of shape (n_rows, n_columns)
        Rows that the model was not trained on. 10 000 of them at most are used.
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
        The true labels or numbers.
    path : str or Path
        The file, which is replaced if it is a report.
    X_train, y_train : data frame or array-like, optional
        The rows that the model was trained on, of shape (n_train_rows, n_columns) and as `y`. Then
        the simpler models are trained on them, and rows and columns are compared with them. Without
        them the simpler models are trained on parts of X.

    Raises
    ------
    InputError
        When matplotlib or jinja2 is missing, for another model, and when the file cannot be
        written or is something else than a report.
    DataError
        When the model cannot be measured on the rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularRegressor, write_report
    >>> frame = pd.read_csv("tests/data/concrete.csv")
    >>> X, y = frame.drop(columns="target"), frame["target"]
    >>> model = TabularRegressor(max_iter=20).fit(X[:800], y[:800])
    >>> write_report(model, X[800:], y[800:], "concrete.html", X_train=X[:800], y_train=y[:800])
    """
    check_report(path)
    _check_model(model)
    if (X_train is None) != (y_train is None):
        raise InputError("X_train and y_train belong together; pass both or none of them")
    training = None
    if X_train is not None:
        training = read_frame(model, X_train, reset=False), read_targets(model, y_train)
    rows = read_frame(model, X, reset=False), read_targets(model, y)
    subject = make_subject(model, *rows, HELD_OUT if training else UNKNOWN, training)
    _write(subject, path)


def report_on_table(
    model: Any, frame: Any, path: str | os.PathLike[str], *, is_its_own: bool = False
) -> dict[str, Any]:
    """Write a report on a model and a table that has the target column.

    Where the model was trained on this table by :func:`fastmlp.train_table`, the report is on the
    rows that were held out then.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    path : str or Path
        The file, which is replaced if it is a report.
    is_its_own : bool, default=False
        Whether the model is known to have been trained on this table.

    Returns
    -------
    dict
        Has the number of 'rows' that the report is on, what is known of them, 'seen', which is
        'held out', 'trained on' or 'unknown', and the 'metrics', each with its 'value', 'low' and
        'high'; for several targets 'targets' is a list of such dicts.

    Raises
    ------
    InputError, DataError
        As :func:`write_report`.
    """
    check_report(path)
    _check_model(model)
    frame = as_pandas(frame)
    check_frame(frame)
    names = target_names(model)
    for name in names:
        if name not in frame.columns:
            raise DataError(f"there is no target column {name!r} to compare with")
    places = [frame.columns.get_loc(name) for name in names]
    features = frame.iloc[:, np.setdiff1d(np.arange(len(frame.columns)), places)]
    features = features.set_axis(range(len(features)), axis=0)
    targets = [frame.iloc[:, place] for place in places]
    split = held_out_rows(model, frame)
    if split is None:
        seen, test, training = (TRAINED_ON if is_its_own else UNKNOWN), np.arange(len(frame)), None
    else:
        train, test = split
        seen = HELD_OUT
        training = features.iloc[train], [y.iloc[train] for y in targets]
    chosen = [y.iloc[test] for y in targets]
    subject = make_subject(model, features.iloc[test], chosen, seen, training, first_row=1)
    return _write(subject, path)


def check_report(path: str | os.PathLike[str]) -> None:
    """Refuse a report that could not be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        When matplotlib or jinja2 is missing, or when the path is something else than a report or
        cannot be written.
    """
    require_matplotlib()
    require_jinja()
    check_output(path)
    # An empty file may be replaced.
    if os.path.exists(path) and os.path.getsize(path) and not is_report(Path(path)):
        raise InputError(f"{path}: exists and is not a report of fastmlp; choose another name")


def _check_model(model: Any) -> None:
    if not isinstance(model, BaseTabular):
        raise InputError(
            "a report is on a TabularClassifier or a TabularRegressor, and this is a "
            f"{type(model).__name__}"
        )
    check_is_fitted(model)


def _write(subject: Subject, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Measure, draw and write; return what was measured."""
    with collected_warnings() as collected, plain_style():
        evaluated = [evaluate(subject, part) for part in subject.parts]
        said = [str(warning) for warning in collected]
        markup = render(_page(subject, evaluated, said))
    # In memory first: the file itself is written so quickly that signals can wait.
    with written_aside(path) as aside:
        aside.write_text(markup, "utf-8", newline="\n")
    found = [_summary(one) for one in evaluated]
    whole = {"rows": len(subject.X), "seen": subject.seen}
    return {**whole, **(found[0] if len(found) == 1 else {"targets": found})}


def _summary(evaluated: Evaluated) -> dict[str, Any]:
    metrics = {
        name: dict(zip(("value", "low", "high"), (one.value, *one.interval()), strict=True))
        for name, one in evaluated.measured[MODEL].items()
    }
    return {"target": evaluated.part.name, "metrics": metrics}


def _page(subject: Subject, evaluated: Sequence[Evaluated], said: Sequence[str]) -> Page:
    sections = []
    if len(evaluated) > 1:
        sections.append(Section("targets", "All targets", [_of_targets(evaluated)]))
    for i, one in enumerate(evaluated[:_MOST_TARGETS]):
        sections += _sections(subject, one, f"-{i + 1}" if len(evaluated) > 1 else "")
    sections.append(Section("data", "The data", data_blocks(subject, evaluated, said)))
    sections.append(Section("training", "How it was trained", training_blocks(subject)))
    title = f"Predicting {listed([part.quoted for part in subject.parts], 4)}"
    return Page(title, _lead(subject), sections, _about(subject, len(evaluated)))


def _sections(subject: Subject, evaluated: Evaluated, ending: str) -> list[Section]:
    """Return the sections on one target; `ending` tells them from those on others."""
    part = evaluated.part
    of = f": {part.quoted}" if ending else ""

    def section(anchor: str, title: str, *blocks: list[Block]) -> Section:
        return Section(anchor + ending, title + of, [one for some in blocks for one in some])

    if part.classes:
        found = [
            section("errors", "What it gets right and wrong",
                    of_classes.confusion_blocks(evaluated), of_classes.curve_blocks(evaluated)),
            section("calibration", "Its probabilities", of_classes.calibration_blocks(evaluated)),
        ]  # fmt: skip
    else:
        title = "Its quantiles" if part.levels else "Errors of low and high predictions"
        found = [
            section("errors", "How far off it is",
                    of_numbers.error_blocks(evaluated, subject.row_names)),
            section("calibration", title, of_numbers.calibration_blocks(evaluated)),
        ]  # fmt: skip
    return [
        section("quality", "How good it is", quality_blocks(evaluated)),
        *found,
        section("columns", "Which columns matter", column_blocks(subject, part)),
    ]


def _of_targets(evaluated: Sequence[Evaluated]) -> Grid:
    rows = []
    for one in evaluated:
        cells = [Cell(shown(one.part.called, 40), is_header=True)]
        for name in ("r2", "rmse", "mae"):
            found = one.measured[MODEL][name]
            cells.append(Cell(*with_interval(found.value, *found.interval()), key=found.value))
        rows.append(cells)
    head = ["target", "R²", "RMSE", "mean error"]
    return Grid("The model for each target", head, rows, {1, 2, 3}, can_sort=True)


def _lead(subject: Subject) -> list[str]:
    """Say what the model is for, and which rows the report is on."""
    model, names = subject.model, [part.quoted for part in subject.parts]
    part = subject.parts[0]
    used = sum(column["kind"] != "dropped" for column in model.columns_)
    of_columns = f"from {count(used, 'column')} of a table"
    if is_classifier(model):
        classes = [quoted(label, 24) for label in part.classes]
        what = (
            f"This model says which of {len(classes)} classes of {names[0]} a row belongs to "
            f"({listed(classes, 6)}), {of_columns}."
        )
    elif part.levels:
        levels = listed([f"{level:g}" for level in part.levels])
        one = "quantile" if len(part.levels) == 1 else "quantiles"
        what = f"This model predicts the {one} {levels} of {names[0]}, {of_columns}."
    else:
        what = f"This model predicts {listed(names)}, {of_columns}."
    return [what, _about_rows(subject)]


def _about_rows(subject: Subject) -> str:
    report = getattr(subject.model, "report_", {})
    rows = count(subject.n_rows, "row")
    if subject.seen == HELD_OUT:
        trained = 0 if subject.X_train is None else len(subject.X_train)
        text = (
            f"It was trained on {count(trained, 'row')}, and all that follows was measured on "
            f"{rows} that it has not seen."
        )
    elif subject.seen == TRAINED_ON:
        text = (
            f"It was trained on these {rows}, and none were held out: all that follows looks "
            "better than it will be on new rows."
        )
    else:
        known = f", which was trained on {report['train_rows']:,} rows," if report else ""
        text = (
            f"All that follows was measured on {rows}. Whether the model{known} has seen some of "
            "them cannot be known here: if so, it looks better than it will be on new rows."
        )
    if len(subject.X) < subject.n_rows:
        text += f" A random sample of {len(subject.X):,} rows was used."
    return text


def _about(subject: Subject, n_targets: int) -> list[str]:
    found = [f"Made by fastmlp {__version__}, with the seed 0 wherever rows are drawn at random."]
    if n_targets > _MOST_TARGETS:
        found.append(
            f"The first {_MOST_TARGETS} of {n_targets} targets have sections of their own."
        )
    return found
