"""Training a model on files that are larger than the memory."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import (
    DataError,
    InputError,
    collected_warnings,
)
from ..tabular.ahead import read_ahead
from ..tabular.base import _SINGLE_NETWORK
from ..tabular.chunks import located, read_chunks
from ..tabular.columns import decide_task
from ..tabular.csv import Origin, listed
from ..tabular.encoders.assembly import make_inputs
from ..tabular.frames import read_frame
from ..tabular.known import level_columns
from ..tabular.metrics import baseline_metrics, classification_metrics, regression_metrics
from ..tabular.paths import files_of
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.quantiles import fitted_levels, quantile_metrics
from ..tabular.reading import Reading
from ..tabular.reports import report_on
from ..tabular.rows import read_rows
from ..tabular.table import settle_table, warn_of
from ..tabular.targets import check_known, labels_like, numeric_target, plain_target, target_values
from ..tabular.train import make_estimator
from ..training.history import Epoch
from . import training
from .shards import Shards, ShardWriter, number_of_shards, row_type
from .statistics import Statistics, Told, check_unchanged, look_at

_MOST_VALIDATION = 200_000
_MOST_TEST = 1_000_000
_SAMPLE = 200_000
_NOT_STREAMED = {
    "members": "a pack needs the table in memory",
    "time_limit": "there is no limit of the time; use max_iter",
    "class_weight": "classes are not weighed",
    "swa_start": "weights are not averaged",
    "monitor": "the gradient is not measured",
}


def train_files(
    path: Origin,
    target: str | None = None,
    task: str = "auto",
    *,
    cache: str | os.PathLike[str] | None = None,
    test_size: float = 0.2,
    random_state: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    header: bool | None = None,
    callback: Callable[[Epoch], Any] | None = None,
    told: Told | None = None,
    n_rows: int | None = None,
    n_sample: int = _SAMPLE,
    **parameters: Any,
) -> Any:
    """Train a network on files of any size, in little memory.

    The table is read twice: first for the kinds of its columns and a sample of at most `n_sample`
    rows, from which medians, scales and levels are learned; then each row goes in a compact form
    to one of several files, its shard, by a hash of its number. An epoch visits all shards in a
    random order, and the rows of each in a random order. So a sorted table is learned as well as a
    shuffled one, and neither `n_rows` nor the number of threads changes the model.

    Parameters
    ----------
    path : str, Path, or a sequence of these
        As for :func:`fastmlp.tabular.csv.read_table`, but for pipes and objects that are open.
    target : str or None, default=None
        Name of the target column; None is the last one.
    task : {'auto', 'classification', 'regression'}, default='auto'
        As for :func:`fastmlp.train_table`.
    cache : str, Path or None, default=None
        Folder in which the shards lie until training ends; they take about as much room as the
        text. None is the one for temporary files.
    test_size : float, default=0.2
        Share of the rows that are held out for the test metrics, by a hash of their numbers; a
        million of them are measured at most.
    random_state : int, default=0
    separator, encoding, decimal, na_values, text, drop, header : optional
        As for :func:`fastmlp.tabular.csv.read_table`.
    callback : callable, optional
        It is called after each epoch, and ends training where it returns True.
    told : callable, optional
        ``told(what, share)`` is called as the table is read, with the share of its bytes, and
        after each visit, with the share of the shards.
    n_rows : int or None, default=None
        The most rows that are read at a time; None is 100 000.
    n_sample : int, default=200000
        The most rows of which the columns are learned.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.

    Returns
    -------
    TabularClassifier or TabularRegressor
        With one network, and with ``report_`` as from :func:`fastmlp.train_table`.

    Raises
    ------
    DataError
        When the table cannot be learned from, and when it changes while it is read.
    InputError
        When a parameter cannot be used here, and when the shards cannot be written.
    """
    began = time.perf_counter()
    _check(task, test_size, parameters)
    reading = Reading(
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        na_values=listed(na_values),
        header=header,
        verbatim=set(listed(text)),
        drop=listed(drop),
    )
    found = look_at(
        path,
        reading,
        target,
        test_size=test_size,
        seed=random_state,
        n_sample=n_sample,
        n_rows=n_rows,
        told=told,
    )
    model, classes, reason = _prepared(found, task, {**parameters, "random_state": random_state})
    folder = None if cache is None else os.fspath(cache)
    if folder is not None and not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder for `cache`")
    with tempfile.TemporaryDirectory(prefix=".fastmlp-shards-", dir=folder) as place:
        shards = _dealt(
            model, classes, found, Path(place), path, test_size, random_state, n_rows, told
        )
        endings = _trained(model, classes, shards, random_state, callback, told)
        model.report_ = {
            "rows": found.n_rows,
            "train_rows": found.n_trained,
            "test_rows": shards.counts.get("test", 0),
            "target": found.target,
            "task": model._task,
            "task_reason": reason,
            **report_on(model, time.perf_counter() - began),
            "why": "one network, because the table streams: packs need it in memory",
            **endings,
        }
        if model.report_["test_rows"]:
            trained = plain_target(found.sample[found.target])
            _measure(model, classes, shards, trained, model.report_)
    return model


def _check(task: str, test_size: float, parameters: dict[str, Any]) -> None:
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    if not 0 <= test_size < 1:
        raise ValueError(f"test_size must be at least 0 and less than 1, got {test_size}")
    for name, why in _NOT_STREAMED.items():
        if parameters.get(name) not in (None, "auto", False):
            raise InputError(f"`{name}` cannot be used where a table streams: {why}")
    if parameters.get("effort", "low") not in ("low", "default"):
        raise InputError(f"`effort` cannot be used here: {_NOT_STREAMED['members']}")
    if parameters.get("solver") in ("lbfgs", "gd"):
        raise InputError(
            f"solver={parameters['solver']!r} needs the table in memory; use solver='adam'"
        )


def _prepared(
    found: Statistics, task: str, parameters: dict[str, Any]
) -> tuple[Any, NDArray[Any] | None, str]:
    """Make the estimator, and let its preprocessor learn from the sample.

    Returns
    -------
    model : TabularClassifier or TabularRegressor
    classes : ndarray or None
        The class labels; None for a regression.
    reason : str
        Why the task was chosen, if the user has not.
    """
    features = found.sample.drop(columns=found.target)
    if not len(features.columns):
        raise DataError(f"there is no column but the target {found.target!r}; features are needed")
    y = plain_target(found.sample[found.target])
    table = settle_table(features, y)
    every = y if found.target_values is None else _series(found, y)
    reason = ""
    if task == "auto":
        task, reason = decide_task(_like_all(every, found.n_rows), table.target_form)
    model = make_estimator(
        task, {"hidden_layer_sizes": _SINGLE_NETWORK["hidden_layer_sizes"], **parameters}
    )
    classes = None
    if task == "classification":
        if found.target_values is None:
            raise DataError(
                f"target column {found.target!r} has very many different values; use "
                "task='regression' if they are numbers"
            )
        classes = np.unique(target_values(every, task))
        values: NDArray[Any] = labels_like(classes, y)
        many = classes.repeat(max(1, min(10, found.n_rows // len(classes))))  # as if of all rows
        model._check_learnable(many, f"target column {found.target!r}")
    else:
        values = target_values(y, task, table.target_form)
        model._check_learnable(values, f"target column {found.target!r}")
        model._encode(values)  # learns the mean and the scale
    read_frame(model, table.frame, reset=True)
    preprocessor = TabularPreprocessor().set_output(transform="default")
    preprocessor._learn(table, None, None)
    model._know_columns(preprocessor, table, values)
    model.target_name_ = found.target
    model.target_format_ = table.target_form if task == "regression" else ""
    model.reading_ = found.record
    model.na_values_ = listed(found.record["na_values"])
    warn_of(preprocessor._remarks())
    return model, classes, reason


def _like_all(every: Any, n_rows: int) -> Any:
    """Repeat the different values of a target, of which there are few beside the rows."""
    times = min(n_rows, 5 * len(every)) // max(1, len(every))
    return every.repeat(max(1, times)).reset_index(drop=True)


def _series(found: Statistics, y: Any) -> Any:
    """Return the different values of the target of all rows, with the type of the sample's."""
    values = type(y)(found.target_values, name=y.name)
    return plain_target(values)


def _dealt(
    model: Any,
    classes: NDArray[Any] | None,
    found: Statistics,
    folder: Path,
    path: Origin,
    test_size: float,
    seed: int,
    n_rows: int | None,
    told: Told | None,
) -> Shards:
    """Read the table a second time, and deal its rows to shards."""
    preprocessor = model.preprocessor_
    n_inputs = max(stop for _, stop in preprocessor.groups_.values())
    parameters = model._network_parameters(np.zeros(found.n_trained))
    share = parameters["validation_fraction"] if parameters["early_stopping"] else 0.0
    share = min(share, _MOST_VALIDATION / max(1, found.n_trained))
    dtype = row_type(
        len(preprocessor.centres_),
        [len(levels) for levels in preprocessor.levels_],
        classes is not None,
    )
    n_shards = number_of_shards(found.n_trained, n_inputs)
    writer = ShardWriter(folder, dtype, n_shards, seed, test_size, share)
    end = 0
    with collected_warnings():  # the first look has said them
        reading = replace(found.reading, levels=level_columns(model))
        for chunk in read_ahead(read_chunks(files_of(path), reading, n_rows)):
            try:
                rows = _compact(model, classes, chunk.frame, found.target, dtype)
            except DataError as error:
                raise DataError(located(str(error), chunk)) from None
            writer.add(chunk.first_row, rows)
            end = chunk.first_row + len(rows)
            if told is not None:
                told("writing shards", chunk.place)
    check_unchanged(found.sources)
    if end != found.n_rows:
        raise DataError("the table has changed while it was read; start again")
    return writer.shards


def _compact(
    model: Any, classes: NDArray[Any] | None, frame: Any, target: str, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return the rows of a frame as shards have them."""
    rows = np.empty(len(frame), dtype=dtype)
    rows["numbers"], rows["codes"] = read_rows(model.preprocessor_, frame)
    y = plain_target(frame[target])
    if classes is None:
        form = model.target_format_
        rows["target"] = numeric_target(y, "or use task='classification'", form)
    else:
        labels = labels_like(classes, y)
        check_known(labels, classes, f"target column {target!r}")
        rows["target"] = np.searchsorted(classes, labels)
    return rows


def _inputs_of(model: Any, rows: NDArray[Any]) -> NDArray[np.float32]:
    return make_inputs(
        model.preprocessor_, np.ascontiguousarray(rows["numbers"]), rows["codes"].astype(np.intp)
    )


def _trained(
    model: Any,
    classes: NDArray[Any] | None,
    shards: Shards,
    seed: int,
    callback: Callable[[Epoch], Any] | None,
    told: Told | None,
) -> dict[str, bool]:
    """Train the network of a model by its shards."""
    names = shards.names("train")
    n_trained = sum(shards.counts[name] for name in names)
    if not n_trained:
        raise DataError("there are no rows left to train on; use more rows or test_size=0")
    parameters = model._network_parameters(np.zeros(n_trained))
    validation = "validation" if shards.counts.get("validation") else None
    parameters["early_stopping"] = validation is not None
    known = signature(model._network_class).parameters
    network = model._network_class(**{k: v for k, v in parameters.items() if k in known})
    n_inputs = max(stop for _, stop in model.preprocessor_.groups_.values())
    first = np.zeros(2) if classes is None else classes
    streamed = training.begin(network, n_inputs, first, seed)

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        rows = shards.read(name)
        if classes is not None:
            return _inputs_of(model, rows), classes[rows["target"]]
        scaled = (rows["target"] - model.target_mean_) / model.target_scale_
        return _inputs_of(model, rows), scaled.astype(np.float32)

    converged, interrupted = training.train(streamed, read, names, validation, seed, callback, told)
    model.estimator_, model.n_iter_ = network, network.n_iter_
    return {"converged": converged, "interrupted": interrupted}


def _measure(
    model: Any, classes: NDArray[Any] | None, shards: Shards, trained: Any, report: dict[str, Any]
) -> None:
    """Measure a model on the rows that are held out, or on a million spread over them.

    `trained` is the target of the sample, of which the trivial prediction is made.
    """
    rows = shards.mapped("test")
    rows = rows[:: -(-len(rows) // _MOST_TEST)]
    outputs = []
    for start in range(0, len(rows), 50_000):
        part = _inputs_of(model, np.array(rows[start : start + 50_000]))
        if classes is None:
            outputs.append(model._predictions(model.estimator_.predict(part)))
        else:
            outputs.append(model.estimator_.predict_proba(part))
    predicted, targets = np.concatenate(outputs), np.array(rows["target"])
    levels = fitted_levels(model)
    if classes is not None:
        values = classes[targets]
        known, threshold = np.ones(len(values), dtype=bool), getattr(model, "threshold_", 0.5)
        report["test"] = classification_metrics(values, predicted, classes, known, threshold)
        trained = labels_like(classes, trained)
    else:
        values = targets
        report["test"] = (
            quantile_metrics(values, predicted, levels)
            if levels
            else regression_metrics(values, predicted)
        )
        trained = numeric_target(trained, "or use task='classification'", model.target_format_)
    report["baseline"] = baseline_metrics(report["task"], trained, values, levels)
