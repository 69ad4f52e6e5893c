"""Regression of several targets: a complete model of the table for each of them."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length

from ..exceptions import (
    DivergenceError,
    InterruptedTrainingWarning,
    collected_warnings,
    warn_user,
)
from .checkpoints import fingerprint
from .frames import PlaceName, read_frame, read_targets
from .quantiles import quantile_levels
from .table import Table, settle_tables
from .targets import check_complete, target_called

# What is left to a target when training shall end: something is trained in any time.
_NO_TIME = 1e-9


def models_of(model: Any) -> list[Any]:
    """Return the models of the targets of a fitted estimator for tables, which may be itself."""
    return getattr(model, "models_", None) or [model]


def target_names(model: Any) -> list[Any]:
    """Return the names of the targets of a fitted estimator for tables."""
    name = model.target_name_
    return name if isinstance(name, list) else [name]


def target_forms(model: Any) -> list[str]:
    """Return how the numbers of each target were written as text; '' for plain numbers."""
    # A model of an older version has no forms.
    return [getattr(one, "target_format_", "") for one in models_of(model)]


def train_several(
    draft: Any, X: Any, targets: list[pd.Series], fit: Any
) -> tuple[list[str], Warning | None]:
    """Train a model for each target, and set the fitted attributes of an estimator.

    Each is what a fit to this target alone would give. Where a time limit, a callback or Ctrl-C
    ends the training, the targets that follow get the least that can be trained.

    Parameters
    ----------
    draft : TabularRegressor
    X : data frame or array-like of shape (n_rows, n_columns), or Table
    targets : list of pandas.Series
    fit : TableFit
        What the call of ``fit`` was given.

    Returns
    -------
    remarks : list of str
        On the table, for the user.
    raised : Warning or None
        As from ``_train`` of an estimator for a single target.

    Raises
    ------
    DataError
        When the table, or one of the targets, cannot be learned from.
    ValueError
        When the loss is for a single target.
    """
    if quantile_levels(draft):
        raise ValueError(
            f"quantiles are predicted for one target, and there are {len(targets)}; train a model "
            "for each of them"
        )
    cls, parameters = type(draft), draft.get_params(deep=False)
    frame = read_frame(cls(**parameters), X.frame if isinstance(X, Table) else X, reset=True)
    for y in targets:
        check_consistent_length(frame, y)
        check_complete(y)
    is_settled = isinstance(X, Table)
    tables = [X] * len(targets) if is_settled else settle_tables(frame, targets)
    values = [draft._target(y, t.target_form) for y, t in zip(targets, tables, strict=True)]
    for y, known in zip(targets, values, strict=True):  # before a model of another one is trained
        draft._check_learnable(known, target_called(y))
    if fit.place is not None:
        weight = fit.sample_weight
        fit.place.keeper.check(lambda: fingerprint(draft, tables[0].frame, values, weight))
    calls = _Calls(fit.callback)
    models: list[Any] = []
    remarks: dict[str, None] = {}
    for y, table in zip(targets, tables, strict=True):
        model = cls(**parameters)
        model.time_limit = _share(fit, len(targets) - len(models), calls.is_over)
        told = None if fit.callback is None else calls
        limit = model.time_limit
        place = fit.place and fit.place.inside(f"target {len(models) + 1}", has_model=False)
        own = replace(
            fit,
            began=time.perf_counter(),
            time_limit=limit,
            callback=told,
            place=place,
            warnings=[],
        )
        with collected_warnings() as collected:
            try:
                found, raised = model._train(table, y, own)
            except DivergenceError as error:
                error.args = (f"{target_called(y)}: {error}",)
                raise
        model.time_limit = draft.time_limit
        given = [*collected, *own.warnings, *([raised] if raised is not None else [])]
        calls.is_over |= any(isinstance(w, InterruptedTrainingWarning) for w in given)
        fit.warnings += given
        remarks.update(dict.fromkeys(found))
        models.append(model)
    fit.warnings[:] = _different(fit.warnings)
    _set_attributes(draft, models, targets)
    return list(remarks), None


class _Calls:
    """Calls a callback, whose warnings are its own, and remembers whether it ended training."""

    def __init__(self, callback: Callable[[Any], Any] | None) -> None:
        self._callback, self._outside = callback, copy_context()
        self.is_over = False

    def __call__(self, event: Any) -> bool:
        assert self._callback is not None
        self.is_over |= bool(self._outside.run(self._callback, event))
        return self.is_over


def _share(fit: Any, n_left: int, is_over: bool) -> float | None:
    """Return the seconds for the next of some targets, which share the time that is left."""
    if is_over:
        return _NO_TIME
    if fit.time_limit is None:
        return None
    left = fit.time_limit - (time.perf_counter() - fit.began)
    return float(max(_NO_TIME, left / n_left))


@contextmanager
def warnings_once() -> Iterator[None]:
    """Warn but once of what the models of several targets say of the same columns."""
    with collected_warnings() as collected:
        yield
    for warning in _different(collected):
        warn_user(warning)


def _different(warnings: Iterable[Warning]) -> list[Warning]:
    """Leave out warnings that say what another one says."""
    return list({(type(warning), str(warning)): warning for warning in warnings}.values())


def _set_attributes(draft: Any, models: list[Any], targets: list[pd.Series]) -> None:
    draft._forget_fit()
    first = models[0]
    for model, y in zip(models, targets, strict=True):
        if isinstance(y.name, PlaceName):
            model.target_name_ = None
    draft.models_ = models
    draft.target_name_ = [model.target_name_ for model in models]
    draft.target_format_ = [model.target_format_ for model in models]
    draft.columns_ = [
        {**of_column[0], "note": next((c["note"] for c in of_column if c["note"]), "")}
        for of_column in zip(*(model.columns_ for model in models), strict=True)
    ]
    draft.n_iter_ = sum(model.n_iter_ for model in models)
    draft.n_features_in_ = first.n_features_in_
    if hasattr(first, "feature_names_in_"):
        draft.feature_names_in_ = first.feature_names_in_


def predict_several(model: Any, X: Any) -> NDArray[np.float64]:
    """Predict the numbers of each row for all targets of a fitted estimator.

    Returns
    -------
    ndarray of shape (n_rows, n_targets), float64
    """
    frame = read_frame(model, X, reset=False)
    with warnings_once():
        return np.column_stack([one.predict(frame) for one in model.models_])


def true_numbers(model: Any, y: Any) -> NDArray[np.float64]:
    """Return the numbers that the predictions of several targets are compared with.

    Parameters
    ----------
    model : TabularRegressor
        It was fitted to several targets.
    y : array-like of shape (n_rows, n_targets)
        The columns of a frame with the names of all targets may have any order.

    Returns
    -------
    ndarray of shape (n_rows, n_targets), float64

    Raises
    ------
    DataError
        When a target is missing or is no number.
    ValueError
        When there are more or fewer targets than the model has.
    """
    targets, names = read_targets(model, y), target_names(model)
    if len(targets) != len(names):
        raise ValueError(f"y has {len(targets)} columns, and the model has {len(names)} targets")
    by_name = {y.name: y for y in targets}
    if by_name.keys() == set(names):
        targets = [by_name[name] for name in names]
    for y in targets:
        check_complete(y)
    forms = target_forms(model)
    return np.column_stack([model._target(y, f) for y, f in zip(targets, forms, strict=True)])
