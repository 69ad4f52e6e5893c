"""Measuring models on tables that have the target: all rows, groups of rows, and two models."""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier

from ..exceptions import DataError, warn_user
from .csv import missing_word
from .frames import as_pandas, check_frame
from .naming import columns_there
from .numbers import misread_note
from .quantiles import fitted_levels
from .reports import mean_r2
from .scoring import (
    Predicted,
    interval,
    intervals,
    n_samples,
    predicted_by,
    sampled,
    with_mean,
)
from .several import models_of, target_names, warnings_once
from .table import warn_of
from .targets import (
    check_complete,
    check_known,
    find_targets,
    labels_like,
    numeric_target,
    plain_target,
    target_called,
)

# Groups of fewer rows are joined, since their scores say little.
FEW_ROWS = 20
# Numbers of more values are cut into quarters, and so are those of which several are rare.
_MOST_VALUES = 12
_MOST_GROUPS = 20


def predict_known(model: Any, frame: Any, target: Any = None) -> list[Predicted]:
    """Let a model predict a table that has the target column.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    frame : data frame
    target : str, list of str or None, default=None
        None is the name, or the names, of the training.

    Returns
    -------
    list of Predicted
        One for each target.

    Raises
    ------
    DataError
        As from :func:`fastmlp.tabular.train.evaluate`.
    """
    frame = as_pandas(frame)
    check_frame(frame)
    models = models_of(model)
    if len(models) == 1:
        name = model.target_name_ if target is None else target
        return [predicted_by(model, frame, _true_values(model, frame, name))]
    names = target_names(model) if target is None else find_targets(frame, target)
    if len(names) != len(models):
        raise DataError(f"the model has {len(models)} targets, and {len(names)} are named")
    with warnings_once():
        return [
            predicted_by(one, frame, _true_values(one, frame, name))
            for one, name in zip(models, names, strict=True)
        ]


def _true_values(model: Any, frame: pd.DataFrame, target: Any) -> NDArray[Any]:
    """Return the target of each row, as the model of one target knows it."""
    if target not in frame.columns:
        raise DataError(
            f"there is no target column {target!r} to compare with"
            f"{columns_there(target, frame.columns)}"
        )
    place: Any = frame.columns.get_loc(target)
    y = plain_target(frame.iloc[:, place])
    check_complete(y, missing_word(frame, target))
    if is_classifier(model):
        values = labels_like(model.classes_, y)
        check_known(values, model.classes_, target_called(y))
        return values
    form = getattr(model, "target_format_", "")  # a model of an older version has none
    values = numeric_target(y, "the model predicts numbers", form)
    if form and pd.api.types.is_float_dtype(y) and (found := misread_note(values, form)):
        warn_of([f"{target_called(y)} {found}"])
    return values


def measure(
    model: Any, frame: Any, *, level: float | None = 0.95, by: str | Sequence[str] = ()
) -> dict[str, Any]:
    """Measure a fitted model on a table, with intervals of confidence, and for groups of rows.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    level : float or None, default=0.95
        Of the intervals; None for none. They are those of the bootstrap by rows, always from the
        same samples.
    by : str or sequence of str, default=()
        Columns by whose values rows are grouped. Numbers are cut into quarters if they have more
        than 12 values, or several of fewer than 20 rows. Other values of fewer rows than that are
        joined, and so are those beyond the 20 most frequent ones.

    Returns
    -------
    dict
        The metrics, as from :func:`fastmlp.tabular.train.evaluate`; 'rows'; with a `level` also
        'level', 'samples' and 'intervals', which has [low, high] or None for each metric, and for
        several targets a list of such dicts, 'targets'; and with `by` 'groups', a dict that has
        for each column a list of such dicts, whose 'group' is the name of the group.

    Raises
    ------
    DataError
        When the target or a column of `by` is missing, and as from
        :func:`fastmlp.tabular.train.evaluate`.
    ValueError
        When `level` is not between 0 and 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import train_table
    >>> from fastmlp.tabular.evaluation import measure
    >>> frame = pd.read_csv("tests/data/concrete.csv")
    >>> model = train_table(frame, hidden_layer_sizes=(16,), max_iter=20)
    >>> low, high = measure(model, frame)["intervals"]["rmse"]
    >>> low < high
    True
    """
    if level is not None and not 0 < level < 1:
        raise ValueError(f"level must be above 0 and below 1, got {level}")
    frame = as_pandas(frame)
    columns = [by] if isinstance(by, str) else list(by)
    check_frame(frame)
    for name in columns:
        if name not in frame.columns:
            raise DataError(f"there is no column {name!r} for `by`{columns_there(name, frame)}")
    parts = predict_known(model, frame)
    sampling = _Sampling(level)
    found = _scores(model, parts, sampling)
    if level is not None:
        found |= {"level": level, "samples": n_samples(len(frame))}
    if columns:
        found["groups"] = {
            name: [
                {"group": group, **_scores(model, [part.rows(rows) for part in parts], sampling)}
                for group, rows in groups_of(frame[name])
            ]
            for name in columns
        }
    return found


class _Sampling:
    """Computes intervals until Ctrl-C; scores are known without them, and what follows has none."""

    def __init__(self, level: float | None) -> None:
        self.level = level
        self._is_over = False

    def ranges(self, parts: list[Predicted]) -> list[dict[str, Any]]:
        """Return the intervals of the mean of several targets, and of each target."""
        assert self.level is not None
        if not self._is_over:
            try:
                return intervals(parts, self.level)
            except KeyboardInterrupt:
                self._is_over = True
                warn_user("interrupted: the scores are complete, and intervals are missing")
        return [{} for _ in range(len(parts) + 1)]


def _scores(model: Any, parts: list[Predicted], sampling: _Sampling) -> dict[str, Any]:
    """Return the metrics of some rows, with intervals."""
    scores = [part.scores() for part in parts]
    whole: dict[str, Any] = {"rows": len(parts[0].values)}
    ranges = None if sampling.level is None else sampling.ranges(parts)
    if len(parts) == 1:
        return {**whole, **scores[0], **({} if ranges is None else {"intervals": ranges[0]})}
    names = target_names(model)
    whole["r2"] = mean_r2(scores)
    whole["targets"] = _named(names, scores)
    if ranges is not None:
        whole["intervals"] = {**ranges[0], "targets": _named(names, ranges[1:])}
    return whole


def _named(names: list[Any], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"target": name, **one} for name, one in zip(names, found, strict=True)]


def groups_of(column: pd.Series) -> list[tuple[str, NDArray[np.bool_]]]:
    """Group the rows of a table by the values of a column.

    Parameters
    ----------
    column : pandas.Series

    Returns
    -------
    list of (str, ndarray of shape (n_rows,), bool)
        The name of each group, and which rows are in it. Values come by their number of rows,
        ranges of numbers in their order, and what is joined or missing last.
    """
    is_missing = column.isna().to_numpy()
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    counts = column.value_counts()
    if is_number and (len(counts) > _MOST_VALUES or (counts < FEW_ROWS).sum() > 1):
        found = _quarters(column, is_missing)
    else:
        found = _values(column, is_missing)
    return [*found, ("(missing)", is_missing)] if is_missing.any() else found


def _quarters(
    column: pd.Series, is_missing: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_]]]:
    numbers = column.to_numpy(np.float64, na_value=np.nan)
    # Edges are values of the column, so that no part is empty.
    quarters = np.quantile(numbers[~is_missing], [0, 0.25, 0.5, 0.75, 1], method="inverted_cdf")
    edges = np.unique(quarters)
    found = [(f"{edges[0]:g} to {edges[1]:g}", (numbers >= edges[0]) & (numbers <= edges[1]))]
    for low, high in pairwise(edges[1:]):
        found.append((f"above {low:g} to {high:g}", (numbers > low) & (numbers <= high)))
    return found


def _values(
    column: pd.Series, is_missing: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_]]]:
    write = "{:g}".format if pd.api.types.is_float_dtype(column) else str
    texts = np.array([write(value).strip() for value in column], dtype=object)
    counts = pd.Series(texts[~is_missing]).value_counts(sort=False)
    by_size = sorted(counts.items(), key=lambda item: -int(item[1]))
    shown = [name for name, n_rows in by_size[:_MOST_GROUPS] if n_rows >= FEW_ROWS]
    rest: list[Hashable] = [name for name, _ in by_size if name not in shown]
    found = [(str(name), (texts == name) & ~is_missing) for name in shown]
    if rest:
        name = str(rest[0]) if len(rest) == 1 else f"({len(rest)} other values)"
        found.append((name, np.isin(texts, np.array(rest, dtype=object)) & ~is_missing))
    return found


def compare(
    model: Any, other: Any, frame: Any, other_frame: Any = None, *, level: float = 0.95
) -> dict[str, Any]:
    """Compare two fitted models on the same rows.

    Parameters
    ----------
    model, other : TabularClassifier or TabularRegressor
        Fitted models of the same targets.
    frame : data frame
        A frame of pandas or polars, with the targets among its columns.
    other_frame : data frame, default=None
        The same rows as `other` reads them; None is `frame`.
    level : float, default=0.95
        Of the intervals of the differences, which are those of the bootstrap by rows: both models
        are scored on the same samples.

    Returns
    -------
    dict
        'rows', 'task', 'metric' (the name of the one that decides), 'better', which is 'a' for
        `model`, 'b' for `other` or None where it cannot be told; 'level', 'samples', and 'metrics',
        a dict that has for each metric a dict of its values 'a' and 'b', the 'difference' b - a,
        and its 'interval', [low, high] or None. The log loss decides for a classification, the
        root mean squared error for a regression, the pinball loss for quantiles, and the mean of
        R^2 for several targets.

    Raises
    ------
    DataError
        When the models have different tasks, targets or quantiles, when the tables have not the
        same rows, and as from :func:`fastmlp.tabular.train.evaluate`.
    ValueError
        When `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be above 0 and below 1, got {level}")
    check_comparable(model, other)
    other_frame = frame if other_frame is None else other_frame
    parts = predict_known(model, frame)
    others = predict_known(other, other_frame)
    order = [target_names(other).index(name) for name in target_names(model)]
    others = [others[i] for i in order]
    for one, two in zip(parts, others, strict=True):
        if not np.array_equal(one.values, two.values):
            raise DataError("the two models read different targets from the table")
    ones, twos = _all_scores(parts), _all_scores(others)
    names = [name for name in ones if name in twos]
    n_rows = len(parts[0].values)
    ranges: dict[str, list[float] | None] = dict.fromkeys(names)
    if n_rows > 1:
        found = sampled([*parts, *others])
        of_a, of_b = (with_mean(some)[0] for some in (found[: len(parts)], found[len(parts) :]))
        ranges = {name: interval(of_b[name] - of_a[name], level) for name in names}
    metrics: dict[str, dict[str, Any]] = {
        name: {
            "a": ones[name],
            "b": twos[name],
            "difference": twos[name] - ones[name],
            "interval": ranges[name],
        }
        for name in names
    }
    metric = next(name for name in (*_DECIDING, *names) if name in names)
    return {
        "rows": n_rows,
        "task": "classification" if is_classifier(model) else "regression",
        "metric": metric,
        "better": _better(metric, metrics[metric]["interval"]),
        "level": level,
        "samples": n_samples(n_rows),
        "metrics": metrics,
    }


# The metrics that decide, where there are such, and those of which more is better.
_DECIDING = ("pinball_loss", "log_loss", "rmse")
_MORE_IS_BETTER = ("accuracy", "balanced_accuracy", "roc_auc", "r2")


def _all_scores(parts: list[Predicted]) -> dict[str, float]:
    if len(parts) == 1:
        return parts[0].scores()
    return {"r2": mean_r2([part.scores() for part in parts])}


def _better(metric: str, range_: list[float] | None) -> str | None:
    """Return which of two models is better by the interval of the difference b - a."""
    if range_ is None or range_[0] <= 0 <= range_[1]:
        return None
    return "b" if (range_[0] > 0) == (metric in _MORE_IS_BETTER) else "a"


def check_comparable(model: Any, other: Any) -> None:
    """Raise DataError for models of different tasks, targets or quantiles."""
    tasks = ["classification" if is_classifier(m) else "regression" for m in (model, other)]
    names = [target_names(m) for m in (model, other)]
    if tasks[0] != tasks[1]:
        raise DataError(f"the models have different tasks: {tasks[0]} and {tasks[1]}")
    if sorted(names[0], key=repr) != sorted(names[1], key=repr):
        first, second = (", ".join(map(repr, found)) for found in names)
        raise DataError(f"the models predict different targets: {first} and {second}")
    levels = [[fitted_levels(one) for one in models_of(m)] for m in (model, other)]
    if levels[0] != levels[1]:
        raise DataError(
            "the models predict different quantiles, or one of them predicts the mean; only like "
            "can be compared"
        )
