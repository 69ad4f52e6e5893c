"""Training, testing and applying models of whole tables, as the command line does it."""

import difflib
import time
from collections.abc import Sequence
from contextvars import copy_context
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from ..estimators.parameters import invalid_parameter
from ..exceptions import (
    DataError,
    InputError,
    InterruptedTrainingWarning,
    collected_warnings,
    warn_user,
)
from ..training.checkpoint import CheckpointPath
from .call import Callback
from .classifier import TabularClassifier
from .columns import decide_task
from .csv import Origin, how_read, listed, missing_word, read
from .frames import as_pandas, check_frame
from .known import reading_for
from .metrics import baseline_metrics, classification_metrics, regression_metrics
from .numbers import misread_note
from .quantiles import fitted_levels, quantile_metrics
from .regressor import TabularRegressor
from .reports import mean_r2, report_metrics, report_on
from .several import models_of, target_forms, target_names, warnings_once
from .table import Table, settle_tables, warn_of
from .targets import (
    check_complete,
    check_known,
    check_learnable,
    find_targets,
    labels_like,
    numeric_target,
    plain_target,
    target_called,
    target_values,
)

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
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.

    Returns
    -------
    TabularClassifier or TabularRegressor
        The fitted model with two more attributes: ``na_values_``, and ``report_``. The latter is
        a dict of the numbers of rows, columns, epochs and seconds, of what has chosen the form of
        the model, 'why', and of whether training converged or was interrupted. For a pack it has
        the kinds of networks with their weights, 'pack'. Unless `test_size` is 0, it also has the
        metrics on the test rows, 'test', and those of a trivial prediction, 'baseline'. For
        several targets these are means of R^2, and 'targets' is a list with a dict for each.

    Raises
    ------
    DataError
        When the table cannot be learned from.
    InputError
        When a parameter of the model cannot be used, or training fails.
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
    if task not in ("auto", *_ESTIMATORS):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    if not 0 <= test_size < 1:
        raise ValueError(f"test_size must be at least 0 and less than 1, got {test_size}")
    frame = as_pandas(frame)
    check_frame(frame)
    names = find_targets(frame, target)
    places = [frame.columns.get_loc(name) for name in names]
    targets = [plain_target(frame.iloc[:, place]) for place in places]
    for y in targets:
        check_complete(y, missing_word(frame, y.name))
    if len(frame.columns) == len(names):
        what = f"the target {names[0]!r}" if len(names) == 1 else "the targets"
        raise DataError(f"there is no column but {what}; features are needed")
    features = frame.iloc[:, np.setdiff1d(np.arange(len(frame.columns)), places)]
    tables = settle_tables(features, targets)
    task, reason = _task(task, targets, tables)
    model = estimator_for(task, {**parameters, "random_state": random_state})
    values = []
    for y, table in zip(targets, tables, strict=True):
        if len(names) == 1:
            values.append(target_values(y, task, table.target_form))
        else:
            values.append(numeric_target(y, "several targets are one", table.target_form))
        check_learnable(values[-1], task, target_called(y))
    train, test = _split(values[0], task, test_size, random_state)

    began = time.perf_counter()
    learned = [pd.Series(v[train], name=name) for name, v in zip(names, values, strict=True)]
    joined = learned[0] if len(learned) == 1 else pd.concat(learned, axis=1)
    endings = _fit(model, tables[0].rows(train), joined, callback, checkpoint)
    seconds = time.perf_counter() - began
    model.reading_ = how_read(frame)
    model.na_values_ = listed(na_values or model.reading_.get("na_values", ()))
    for one, y, table in zip(models_of(model), targets, tables, strict=True):
        if task == "regression" and table.target_form:
            one.target_format_ = table.target_form
        if table.target_note and (one.target_format_ or (reason and task == "classification")):
            warn_of([f"{target_called(y)} {table.target_note}"])
    if len(names) > 1:
        model.target_format_ = target_forms(model)
    model.report_ = {
        "rows": len(frame),
        "train_rows": len(train),
        "test_rows": len(test),
        "target": names[0] if len(names) == 1 else names,
        "task": task,
        "task_reason": reason,
        **report_on(model, seconds),
        **endings,
    }
    if len(test):
        models = models_of(model)
        trivial = [
            baseline_metrics(task, known[train], known[test], fitted_levels(one))
            for one, known in zip(models, values, strict=True)
        ]
        with warnings_once():
            measured = [
                _metrics(one, features.iloc[test], known[test])
                for one, known in zip(models, values, strict=True)
            ]
        report_metrics(model.report_, measured, trivial)
    return model


def _task(task: str, targets: list[pd.Series], tables: list[Table]) -> tuple[str, str]:
    """Return the task, and why it was chosen if the user has not."""
    if len(targets) > 1:
        if task == "classification":
            raise DataError(
                "several targets are learned by a regression, not by task='classification'; train "
                "a model for each of them"
            )
        return "regression", ""
    return decide_task(targets[0], tables[0].target_form) if task == "auto" else (task, "")


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
    frame = as_pandas(frame)
    check_frame(frame)
    models = models_of(model)
    if len(models) == 1:
        return _evaluate(model, frame, model.target_name_ if target is None else target)
    names = target_names(model) if target is None else find_targets(frame, target)
    if len(names) != len(models):
        raise DataError(f"the model has {len(models)} targets, and {len(names)} are named")
    with warnings_once():
        measured = [
            {"target": name, **_evaluate(one, frame, name)}
            for one, name in zip(models, names, strict=True)
        ]
    return {"r2": mean_r2(measured), "targets": measured}


def _evaluate(model: Any, frame: Any, target: Any) -> dict[str, float]:
    """Measure a model on one target; see :func:`evaluate`."""
    if target not in frame.columns:
        raise DataError(f"there is no target column {target!r} to compare with")
    y = plain_target(frame.iloc[:, frame.columns.get_loc(target)])
    check_complete(y, missing_word(frame, target))
    if is_classifier(model):
        values = labels_like(model.classes_, y)
        check_known(values, model.classes_, target_called(y))
    else:
        form = getattr(model, "target_format_", "")  # a model of an older version has none
        values = numeric_target(y, "the model predicts numbers", form)
        if form and pd.api.types.is_float_dtype(y) and (found := misread_note(values, form)):
            warn_of([f"{target_called(y)} {found}"])
    return _metrics(model, frame, values)


def estimator_for(task: str, parameters: dict[str, Any]) -> Any:
    """Make the estimator for a task; raise InputError for parameters that it cannot have."""
    if task == "regression" and parameters.get("class_weight") is not None:
        raise InputError("class weights are for classification, and this is a regression")
    if task == "classification" and "quantiles" in parameters:
        raise InputError("quantiles are of numbers, and this is a classification; see `task`")
    known = signature(_ESTIMATORS[task]).parameters
    for name in parameters:
        if name not in known and name != "class_weight":
            near = difflib.get_close_matches(name, known)
            meant = " or ".join(f"`{name}`" for name in near)
            raise InputError(
                f"there is no parameter {name!r} for {task}; "
                + (f"did you mean {meant}?" if near else f"{_ESTIMATORS[task].__name__} has others")
            )
    model = _ESTIMATORS[task](**{k: v for k, v in parameters.items() if k in known})
    if (message := invalid_parameter(model)) is not None:
        raise InputError(message)
    return model


def _split(
    values: NDArray[Any], task: str, test_size: float, random_state: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the training rows and of the test rows, each in increasing order.

    A classification is stratified where every class has rows enough.
    """
    rows = np.arange(len(values))
    if test_size == 0:
        return rows, rows[:0]
    stratify = None
    if task == "classification":
        counts = np.unique(values, return_counts=True)[1]
        n_test = int(np.ceil(test_size * len(values)))
        if counts.min() >= 2 and min(n_test, len(values) - n_test) >= len(counts):
            stratify = values
    try:
        train, test = train_test_split(
            rows, test_size=test_size, random_state=random_state, stratify=stratify
        )
    except ValueError:
        raise DataError(
            f"{len(values)} rows are too few to hold out test_size={test_size}; use test_size=0"
        ) from None
    if task == "classification" and len(np.unique(values[train])) < 2:
        raise DataError("the training part has a single class; use more rows or test_size=0")
    return np.sort(train), np.sort(test)


def _fit(
    model: Any, X: Table, y: Any, callback: Callback | None, checkpoint: CheckpointPath
) -> dict[str, bool]:
    """Fit the model, and tell whether it 'converged' and whether it was 'interrupted'.

    The warnings about these two are not shown; all others are passed on.
    """
    outside = copy_context()  # what a callback fits has warnings of its own
    told = None if callback is None else lambda epoch: outside.run(callback, epoch)
    with collected_warnings() as collected:
        try:
            model.fit(X, y, callback=told, checkpoint=checkpoint)
        except InputError:
            raise
        except (ValueError, OverflowError) as error:
            raise InputError(str(error)) from error
        except MemoryError as error:
            raise InputError(
                f"training needs more memory than there is ({error}); choose a smaller "
                "hidden_layer_sizes or batch_size, or fewer rows"
            ) from error
    converged, interrupted = True, False
    for warning in collected:
        if isinstance(warning, ConvergenceWarning):
            converged = False
        elif isinstance(warning, InterruptedTrainingWarning):
            interrupted = True
        else:
            warn_user(warning)
    return {"converged": converged and not interrupted, "interrupted": interrupted}


def _metrics(model: Any, frame: pd.DataFrame, values: NDArray[Any]) -> dict[str, float]:
    if levels := fitted_levels(model):
        return quantile_metrics(values, model.predict(frame), levels)
    if not is_classifier(model):
        return regression_metrics(values, model.predict(frame))
    known = np.isin(values, model.classes_)
    threshold = getattr(model, "threshold_", 0.5)
    return classification_metrics(
        values, model.predict_proba(frame), model.classes_, known, threshold
    )
