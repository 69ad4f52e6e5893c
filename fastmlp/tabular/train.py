"""Training, testing and applying models of whole tables, as the command line does it."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimators.parameters import invalid_parameter
from ..exceptions import InputError, collected_warnings, did_you_mean, warn_user
from ..training.checkpoint import CheckpointPath
from .call import Callback
from .classifier import TabularClassifier
from .csv import Origin, how_read, listed, read
from .evaluation import predict_known
from .known import reading_for
from .metrics import baseline_metrics
from .problem import Problem, read_problem, split
from .quantiles import fitted_levels
from .refitting import Training
from .regressor import TabularRegressor
from .reports import mean_r2, report_metrics, report_on
from .scoring import Scores, predicted_by
from .several import models_of, target_forms, target_names, warnings_once
from .table import warn_of
from .targets import (
    plain_target,
    target_called,
    target_values,
)
from .trained_rows import hashes_to_keep

_ESTIMATORS: dict[str, Any] = {
    "classification": TabularClassifier,
    "regression": TabularRegressor,
}


def train_table(
    frame: Any,
    target: Any = None,
    task: str = "auto",
    *,
    test_size: float = 0.2,
    random_state: int = 0,
    na_values: str | Sequence[str] = (),
    callback: Callback | None = None,
    checkpoint: CheckpointPath = None,
    refit: bool = False,
    **parameters: Any,
) -> TabularClassifier | TabularRegressor:
    """Choose the target and the task, hold out test rows, train on the others, and measure.

    Parameters
    ----------
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    target : str, list of str or None, default=None
        Name of the target column, or a list of several for a regression; None is the last column.
    task : {'auto', 'classification', 'regression'}, default='auto'
        'auto' is classification for text, for truth values, and for at most 20 different
        integers. Several targets are a regression.
    test_size : float, default=0.2
        Share of the rows that are held out for the test metrics; 0 trains on all rows.
    random_state : int, default=0
        Seed of the split and of the training.
    na_values : str or sequence of str, default=()
        Marks of missing values in the file that the frame was read from, unless it comes from
        :func:`fastmlp.tabular.csv.read_table`. The model remembers them for :func:`read_for`.
    callback : callable, optional
        It is called after each epoch, or after each network of a pack; see the estimators.
    checkpoint : str, Path or Checkpoint, optional
        File with which another process can go on with the training; see
        :class:`fastmlp.Checkpoint`.
    refit : bool, default=False
        Whether a model that was measured on the test rows is trained anew on all rows, which is
        the one returned; its metrics are those of the first. Both share a `time_limit`. Ctrl-C
        in the second training keeps the first model.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.

    Returns
    -------
    TabularClassifier or TabularRegressor
        The fitted model with more attributes: ``na_values_``, ``trained_rows_``, and ``report_``,
        which is a dict of the numbers of rows, columns, epochs and seconds, of what has chosen the
        form of the model, 'why', and of whether training converged or was interrupted. For a pack
        it has the kinds of networks with their weights, 'pack'. Unless `test_size` is 0, it also
        has the metrics on the test rows, 'test', and those of a trivial prediction, 'baseline'. For
        several targets these are means of R^2, and 'targets' is a list with a dict for each. After
        a `refit` it has the number of all rows, 'refit_rows'.

    Raises
    ------
    DataError
        When the table cannot be learned from.
    InputError
        When a parameter of the model cannot be used, or training fails, and for a `refit` without
        test rows or with a checkpoint.
    DeviceError
        When the device cannot be used.
    ValueError
        When `task` or `test_size` is not one of the values above.

    Warns
    -----
    DataWarning
        For what the owner of the table should look at, such as text that is read as numbers. The
        notes in ``columns_`` say the same.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import train_table
    >>> model = train_table(pd.read_csv("tests/data/concrete.csv"), members=3)
    >>> model.report_["test"]["r2"] > 0.8
    True
    """
    _check_refit(refit, test_size, checkpoint)
    problem = read_problem(frame, target, task, test_size, random_state)
    frame, names, task = problem.frame, problem.names, problem.task
    train, test = problem.train, problem.test
    model = make_estimator(task, {**parameters, "random_state": random_state})

    training = Training(model, problem, callback)
    endings, seconds = training.fit(model, train, checkpoint, is_first=refit)
    scores = _measure(model, problem)
    if len(test) and scores is None:
        endings["interrupted"] = True
    again = training.refit() if refit and not endings["interrupted"] else None
    if again is not None:
        model, endings, seconds = again[0], again[1], seconds + again[2]
    model.reading_ = how_read(frame)
    model.na_values_ = listed(na_values or model.reading_.get("na_values", ()))
    model.trained_rows_ = hashes_to_keep(model, frame if again else frame.iloc[train])
    for one, y, table in zip(models_of(model), problem.targets, problem.tables, strict=True):
        if task == "regression" and table.target_form:
            one.target_format_ = table.target_form
        if table.target_note and (
            one.target_format_ or (problem.reason and task == "classification")
        ):
            warn_of([f"{target_called(y)} {table.target_note}"])
    if len(names) > 1:
        model.target_format_ = target_forms(model)
    model.report_ = {
        "rows": len(frame),
        "train_rows": len(train),
        "test_rows": len(test),
        **({} if again is None else {"refit_rows": len(frame)}),
        "target": names[0] if len(names) == 1 else names,
        "task": task,
        "task_reason": problem.reason,
        **report_on(model, seconds),
        **endings,
    }
    if scores is not None:
        report_metrics(model.report_, *scores)
    return model


def _measure(model: Any, problem: Problem) -> tuple[list[Scores], list[Scores]] | None:
    """Measure a model, and the trivial prediction, on the test rows.

    Returns
    -------
    (measured, trivial) or None
        The metrics for each target; None without test rows, and where Ctrl-C has ended it, so
        that the model is kept.
    """
    test = problem.test
    if not len(test):
        return None
    models = models_of(model)
    trivial = [
        baseline_metrics(problem.task, known[problem.train], known[test], fitted_levels(one))
        for one, known in zip(models, problem.values, strict=True)
    ]
    try:
        with warnings_once():
            measured = [
                predicted_by(one, problem.features.iloc[test], known[test]).scores()
                for one, known in zip(models, problem.values, strict=True)
            ]
    except KeyboardInterrupt:
        warn_user("measuring was interrupted: the model is trained, and how good it is unknown")
        return None
    return measured, trivial


def _check_refit(refit: bool, test_size: float, checkpoint: CheckpointPath) -> None:
    """Raise InputError for what a second training cannot be combined with."""
    if refit and test_size == 0:
        raise InputError(
            "test_size=0 trains on all rows at once; leave out `refit`, or hold out rows"
        )
    if refit and checkpoint is not None:
        raise InputError("a `checkpoint` is of one training, and `refit` needs two; leave out one")


def read_for(
    model: Any,
    path: Origin,
    *,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    header: bool | None = None,
    allow_empty: bool = True,
) -> pd.DataFrame:
    """Read a table from files in the way that a fitted model needs.

    Columns that were text in training stay text, so that a code such as ``007`` is not read as a
    number.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model. The marks of missing values that it remembers are used, too.
    path : str, Path, file-like object, or a sequence of these
    separator : str, default=None
    encoding : str, default=None
    decimal : {',', '.'}, default=None
        None is that of the table which the model was trained on.
    na_values : str or sequence of str, default=()
        Further marks of missing values.
    header : bool, default=None
        Whether the first line has the names of the columns; None is as in training. Without
        names, the number of columns tells whether the target is among them.
    allow_empty : bool, default=True
        Whether a table may have no rows.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When the file cannot be read, as in :func:`fastmlp.tabular.csv.read_table`.
    """
    return read(
        path,
        reading_for(
            model,
            separator=separator,
            encoding=encoding,
            decimal=decimal,
            na_values=na_values,
            header=header,
            allow_empty=allow_empty,
        ),
    )


def evaluate(model: Any, frame: Any, target: Any = None) -> dict[str, Any]:
    """Measure a fitted model on a table that has the target column.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    target : str, list of str or None, default=None
        Name of the target column, or a list of several; None is the name of the y that the model
        was trained on.

    Returns
    -------
    dict of str to float
        The metrics by their names, as from :mod:`fastmlp.tabular.metrics`. For several targets it
        has the mean of their R^2, and 'targets', a list with a dict for each.

    Raises
    ------
    DataError
        When the target is missing or has a class that the model does not know, or when the model
        cannot predict the rows.

    Warns
    -----
    DataWarning
        When a text column has hardly a level that the model knows, and when numbers look as if
        marks of thousands had been taken for decimal points.
    """
    parts = predict_known(model, frame, target)
    if len(parts) == 1:
        return parts[0].scores()
    names = target_names(model) if target is None else target
    measured = [{"target": name, **part.scores()} for name, part in zip(names, parts, strict=True)]
    return {"r2": mean_r2(measured), "targets": measured}


def held_out_rows(
    model: Any, frame: pd.DataFrame
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Find out which rows of a table were held out when a model was trained on it.

    The split is made again from the seed, and it is the same one where the metrics on its test
    rows are those that were measured then.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : pandas.DataFrame
        A table with the target among its columns.

    Returns
    -------
    train, test : ndarray of int
        The positions of the rows; or None where the model was trained on another table, by
        another function than :func:`train_table`, or without test rows.
    """
    report = getattr(model, "report_", None)
    if not report or report["rows"] != len(frame) or not report["test_rows"]:
        return None
    names = target_names(model)
    if any(name not in frame.columns for name in names):
        return None
    place: Any = frame.columns.get_loc(names[0])
    y = plain_target(frame.iloc[:, place])
    # Half a row less, since the share is rounded up.
    test_size = (report["test_rows"] - 0.5) / len(frame)
    try:
        values = target_values(y, report["task"], target_forms(model)[0])
        parts = split(values, report["task"], test_size, model.random_state)
        with collected_warnings():
            found = evaluate(model, frame.iloc[parts[1]])
    except InputError:
        return None
    known = report["test"]
    is_same = all(np.isclose(found.get(k, np.nan), v, equal_nan=True) for k, v in known.items())
    return parts if is_same else None


def make_estimator(task: str, parameters: dict[str, Any]) -> Any:
    """Make the estimator for a task; raise InputError for parameters that it cannot have."""
    if task == "regression" and parameters.get("class_weight") is not None:
        raise InputError("class weights are for classification, and this is a regression")
    if task == "classification" and "quantiles" in parameters:
        raise InputError("quantiles are of numbers, and this is a classification; see `task`")
    known = signature(_ESTIMATORS[task]).parameters
    for name in parameters:
        if name not in known and name != "class_weight":
            others = f"{_ESTIMATORS[task].__name__} has others"
            meant = did_you_mean(name, known, others, lambda near: f"`{near}`")
            raise InputError(f"there is no parameter {name!r} for {task}; {meant}")
    model = _ESTIMATORS[task](**{k: v for k, v in parameters.items() if k in known})
    if (message := invalid_parameter(model)) is not None:
        raise InputError(message)
    return model
