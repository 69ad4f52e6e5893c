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
from .base import Callback
from .classifier import TabularClassifier
from .columns import decide_task
from .csv import Origin, how_read, listed, missing_word, read
from .frames import as_pandas, check_frame
from .metrics import baseline_metrics, classification_metrics, regression_metrics
from .numbers import misread_note
from .pack.members import Pack
from .pack.preparation import why
from .quantiles import fitted_levels, quantile_metrics
from .reading import Reading
from .regressor import TabularRegressor
from .table import Table, settle_table, warn_of
from .targets import (
    check_complete,
    check_known,
    check_learnable,
    find_target,
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
    **parameters: Any,
) -> TabularClassifier | TabularRegressor:
    """Choose the target and the task, hold out test rows, train on the others, and measure.

    Parameters
    ----------
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    target : str or None, default=None
        Name of the target column; None is the last column.
    task : {'auto', 'classification', 'regression'}, default='auto'
        'auto' is classification for text, for truth values, and for at most 20 different
        integers.
    test_size : float, default=0.2
        Share of the rows that are held out for the test metrics; 0 trains on all rows.
    random_state : int, default=0
        Seed of the split and of the training.
    na_values : str or sequence of str, default=()
        Marks of missing values in the file that the frame was read from, unless it comes from
        :func:`fastmlp.tabular.csv.read_table`. The model remembers them for :func:`read_for`.
    callback : callable, optional
        It is called after each epoch, or after each network of a pack; see the estimators.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.

    Returns
    -------
    TabularClassifier or TabularRegressor
        The fitted model with two more attributes: ``na_values_``, and ``report_``. The latter is
        a dict of the numbers of rows, columns, epochs and seconds, of what has chosen the form of
        the model, 'why', and of whether training converged or was interrupted. For a pack it has
        the kinds of networks with their weights, 'pack'. Unless `test_size` is 0, it also has the
        metrics on the test rows, 'test', and those of a trivial prediction, 'baseline'.

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
    target = find_target(frame, target)
    place = frame.columns.get_loc(target)
    y = plain_target(frame.iloc[:, place])
    check_complete(y, missing_word(frame, target))
    if len(frame.columns) == 1:
        raise DataError(f"there is no column but the target {target!r}; features are needed")
    features = frame.iloc[:, np.arange(len(frame.columns)) != place]
    table = settle_table(features, y)
    form = table.target_form
    task, reason = decide_task(y, form) if task == "auto" else (task, "")
    model = _estimator(task, {**parameters, "random_state": random_state})
    values = target_values(y, task, form)
    check_learnable(values, task, target_called(y))
    train, test = _split(values, task, test_size, random_state)

    began = time.perf_counter()
    endings = _fit(model, table.rows(train), pd.Series(values[train], name=target), callback)
    seconds = time.perf_counter() - began
    model.reading_ = how_read(frame)
    model.na_values_ = listed(na_values or model.reading_.get("na_values", ()))
    if task == "regression" and form:
        model.target_format_ = form
    if table.target_note and (model.target_format_ or (reason and task == "classification")):
        warn_of([f"{target_called(y)} {table.target_note}"])
    model.report_ = {
        "rows": len(frame),
        "train_rows": len(train),
        "test_rows": len(test),
        "target": target,
        "task": task,
        "task_reason": reason,
        **_report(model, seconds),
        **endings,
    }
    if len(test):
        model.report_["test"] = _metrics(model, features.iloc[test], values[test])
        levels = fitted_levels(model)
        model.report_["baseline"] = baseline_metrics(task, values[train], values[test], levels)
    return model


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
    """Read a CSV file in the way that a fitted model needs.

    Columns that were text in training stay text, so that a code such as ``007`` is not read as a
    number.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model. The marks of missing values that it remembers are used, too.
    path : str, Path, or file-like object
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
    target, earlier = model.target_name_, getattr(model, "reading_", {})
    # Numbers in a foreign form are text for the reader, and the model converts them, unless the
    # user says how this table writes them.
    text = {
        column["name"]
        for column in model.columns_
        if column["kind"] in ("text", "date", "words")
        or (column.get("number_format") and decimal is None)
    }
    if (getattr(model, "target_format_", "") and decimal is None) or (
        is_classifier(model) and model.classes_.dtype.kind in "US"
    ):
        text.add(target)
    reading = Reading(
        separator=separator,
        encoding=encoding,
        decimal=decimal or earlier.get("decimal"),
        na_values=[*getattr(model, "na_values_", ()), *listed(na_values)],
        header=earlier.get("header", True) if header is None else header,
        verbatim=set(earlier.get("text", ())),
        as_text=text,
        target=target,
        task="regression",  # the model knows whether its target is text
        allow_empty=allow_empty,
        known={column["name"] for column in model.columns_} | {target},
    )
    if not reading.header and earlier.get("header", True):
        raise DataError(
            "the model was trained on a table with names of columns, and finds them by these "
            f"({_first_names(model)}); add a line of names above the rows, without header=False"
        )
    if not reading.header:
        reading.names = _names_by_number(model, earlier["n_columns"])
    return read(path, reading)


def _first_names(model: Any) -> str:
    names = [str(column["name"]) for column in model.columns_]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _names_by_number(model: Any, n_columns: int) -> dict[int, list[str]]:
    """Return the names of columns without names, by how many there are.

    There can be as many as in training, the target may be left out, and so may further columns
    that the model was not trained on. They come in the order of the file that was trained on,
    even if the columns of its frame were put in another one.
    """
    names = [str(i) for i in range(1, n_columns + 1)]
    known = {column["name"] for column in model.columns_}
    features = [name for name in names if name in known]
    if len(features) < len(known):
        raise DataError(
            "the model was trained on a table without names of columns, which were renamed later; "
            "give the columns these names and use header=True, or predict from a data frame"
        )
    without_target = [name for name in names if name != model.target_name_]
    return {len(features): features, len(without_target): without_target, n_columns: names}


def evaluate(model: Any, frame: Any, target: Any = None) -> dict[str, float]:
    """Measure a fitted model on a table that has the target column.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    target : str or None, default=None
        Name of the target column; None is the name of the y that the model was trained on.

    Returns
    -------
    dict of str to float
        The metrics by their names, as from :mod:`fastmlp.tabular.metrics`.

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
    if target is None:
        target = model.target_name_
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


def _estimator(task: str, parameters: dict[str, Any]) -> Any:
    """Make the estimator for a task; raise InputError for parameters that it cannot have."""
    if task == "regression" and parameters.get("class_weight") is not None:
        raise InputError("class weights are for classification, and this is a regression")
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


def _fit(model: Any, X: Table, y: pd.Series, callback: Callback | None) -> dict[str, bool]:
    """Fit the model, and tell whether it 'converged' and whether it was 'interrupted'.

    The warnings about these two are not shown; all others are passed on.
    """
    outside = copy_context()  # what a callback fits has warnings of its own
    told = None if callback is None else lambda epoch: outside.run(callback, epoch)
    with collected_warnings() as collected:
        try:
            model.fit(X, y, callback=told)
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


def _report(model: Any, seconds: float) -> dict[str, Any]:
    """Collect what ``report_`` says about a fitted model itself."""
    kinds = [column["kind"] for column in model.columns_]
    return {
        "numeric_columns": kinds.count("numeric"),
        "text_columns": kinds.count("text"),
        "date_columns": kinds.count("date"),
        "words_columns": kinds.count("words"),
        "dropped_columns": {
            column["name"]: column["reason"]
            for column in model.columns_
            if column["kind"] == "dropped"
        },
        **_of_form(model.estimator_, seconds),
        "why": why(model),
        **_of_pack(model.estimator_),
    }


def _of_form(trained: Any, seconds: float) -> dict[str, Any]:
    """Report on the network of a model, or on its pack.

    The layers of a pack are those of a network of the kind with the largest weight.
    """
    if isinstance(trained, Pack):
        first = max(trained.weights, key=lambda kind: trained.weights[kind])
        units = _layers(next(m.network for m in trained.members if m.kind == first))
        n_inputs = max(member.stop for member in trained.members)
        loss: float | None = trained.loss
        score = trained.score
    else:
        units = _layers(trained)
        n_inputs, score = units[0], trained.best_validation_score_
        loss = float(trained.loss_) if trained.loss_curve_ else None
    return {
        "inputs": n_inputs,
        "layers": units,
        "epochs": int(trained.n_iter_),
        "seconds": round(seconds, 3),
        "loss": loss,
        "validation_score": score,
    }


def _of_pack(trained: Any) -> dict[str, Any]:
    """Report what only packs have."""
    if not isinstance(trained, Pack):
        return {}
    return {
        "pack": trained.kinds,
        "networks": len(trained.members),
        "cut_short": trained.is_cut_short,
    }


def _layers(network: Any) -> list[int]:
    """Return the number of units of each layer, the inputs first."""
    return [network.coefs_[0].shape[0], *(w.shape[1] for w in network.coefs_)]


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
