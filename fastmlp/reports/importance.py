"""What a model makes of single columns: importances, slopes and partial dependence."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.inspection import partial_dependence, permutation_importance

from ..tabular.cells import numbers_of
from ..tabular.column_gradients import number_gradients_of, numeric_columns
from ..tabular.columns import called
from ..tabular.dates import read_dates
from ..tabular.encoders.assembly import make_inputs
from ..tabular.frames import read_frame
from ..tabular.rows import names_of, numbers_of_columns, read_rows
from .rows import column_of, sample

# Predictions of rows that all columns may cost together, and the bounds of the rows of each.
_MOST_PREDICTIONS = 100_000
_ROWS = (100, 2000)
_MOST_COLUMNS = 200
_N_REPEATS = 5
_ROWS_OF_SLOPES = 1000
_ROWS_OF_DEPENDENCE = 300
_N_POINTS = 14
_MOST_LEVELS = 10


@dataclass
class Importances:
    """How much worse predictions get where the values of a column are shuffled.

    Parameters
    ----------
    names : list of hashable
        The columns, the most important first.
    means, deviations : ndarray of shape (n_columns,)
        Of the loss that shuffling adds, over repeats.
    n_rows, n_repeats : int
    n_left_out : int
        The number of columns that were not measured.
    """

    names: list[Hashable]
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    n_rows: int
    n_repeats: int
    n_left_out: int


def importances(
    model: Any, X: pd.DataFrame, y: NDArray[Any], loss: Callable[[Any, Any], float]
) -> Importances:
    """Measure the permutation importance of each column that a model uses.

    The columns are read once. Then places of rows are shuffled in the stead of values, and the
    inputs of the networks are made of what was read there.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        For a single target.
    X : pandas.DataFrame
    y : ndarray of shape (n_rows,)
    loss : callable
        ``loss(inputs, y)`` of the model for inputs of its networks.

    Returns
    -------
    Importances
    """
    used = [column["name"] for column in model.columns_ if column["kind"] != "dropped"]
    measured = used[:_MOST_COLUMNS]
    n_rows = _MOST_PREDICTIONS // (len(measured) * _N_REPEATS)
    rows = sample(len(X), int(np.clip(n_rows, *_ROWS)))
    fitted = model.preprocessor_
    numbers, codes = read_rows(fitted, read_frame(model, X.iloc[rows], reset=False))
    of_numbers = [name for _, name, _, _ in numbers_of_columns(fitted)]
    of_codes = names_of(fitted, "text")
    parts = [(_places_of(name, of_numbers), _places_of(name, of_codes)) for name in measured]

    def score(estimator: Any, places: NDArray[np.intp], y: NDArray[Any]) -> float:
        shuffled_numbers, shuffled_codes = numbers.copy(), codes.copy()
        for column in np.flatnonzero((places != np.arange(len(places))[:, np.newaxis]).any(axis=0)):
            here, (its_numbers, its_codes) = places[:, column], parts[column]
            shuffled_numbers[:, its_numbers] = numbers[here][:, its_numbers]
            shuffled_codes[:, its_codes] = codes[here][:, its_codes]
        return -loss(make_inputs(fitted, shuffled_numbers, shuffled_codes), y)

    places = np.tile(np.arange(len(rows))[:, np.newaxis], len(measured))
    found = permutation_importance(
        model, places, y[rows], scoring=score, n_repeats=_N_REPEATS, random_state=0
    )
    order = np.argsort(-found.importances_mean, kind="stable")
    return Importances(
        [measured[i] for i in order],
        found.importances_mean[order],
        found.importances_std[order],
        len(rows),
        _N_REPEATS,
        len(used) - len(measured),
    )


def _places_of(name: Hashable, names: list[Hashable]) -> list[int]:
    return [i for i, other in enumerate(names) if other is name or other == name]


@dataclass
class Slopes:
    """How much a prediction changes with a numeric column, near the rows as they are.

    Parameters
    ----------
    names : list of hashable
        The columns, the steepest first.
    means : ndarray of shape (n_columns,)
        The mean absolute gradient, times the standard deviation of the column.
    n_rows : int
    """

    names: list[Hashable]
    means: NDArray[np.float64]
    n_rows: int


def slopes(model: Any, X: pd.DataFrame, output: int | None) -> Slopes | None:
    """Measure how steep a model is in each numeric column that it uses.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        For a single target. Of a classifier it is the probability of the predicted class.
    X : pandas.DataFrame
    output : int or None
        The number of a quantile, where several are predicted.

    Returns
    -------
    Slopes or None
        None where no column is numeric, or has numbers.
    """
    names = numeric_columns(model)[:_MOST_COLUMNS]
    rows = sample(len(X), _ROWS_OF_SLOPES)
    numbers, codes = read_rows(model.preprocessor_, read_frame(model, X.iloc[rows], reset=False))
    gradients = number_gradients_of(model, numbers, codes, output=output)
    found: list[tuple[float, Hashable]] = []
    for place, name in enumerate(names):
        is_known = ~np.isnan(numbers[:, place])
        if is_known.any():
            steepness = np.abs(gradients[is_known, place]).mean()
            found.append((float(steepness * numbers[is_known, place].std()), name))
    found.sort(key=lambda pair: -pair[0])
    if not found:
        return None
    return Slopes([name for _, name in found], np.array([mean for mean, _ in found]), len(rows))


@dataclass
class Dependence:
    """The mean prediction where a column has one value in all rows.

    Parameters
    ----------
    name : hashable
    places : ndarray of shape (n_points,)
        The values as numbers, or 0, 1, ... for text.
    labels : list of str
        The values of text; empty for numbers and dates.
    means : ndarray of shape (n_outputs, n_points)
        For two classes the probability of the second one, for more that of each; the prediction
        of a regression, or each quantile.
    is_date : bool
        Whether the places are seconds since 1970.
    """

    name: Hashable
    places: NDArray[np.float64]
    labels: list[str]
    means: NDArray[np.float64]
    is_date: bool


def dependences(model: Any, X: pd.DataFrame, names: list[Hashable], most: int) -> list[Dependence]:
    """Compute the partial dependence of a model on columns.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        For a single target.
    X : pandas.DataFrame
    names : list of hashable
        The columns, the most important first. Free text has no values to go through, and a
        column of one value shows nothing: both are passed over.
    most : int
        The most columns.

    Returns
    -------
    list of Dependence
    """
    described = {column["name"]: column for column in model.columns_}
    used = [name for name, column in described.items() if column["kind"] != "dropped"]
    rows = sample(len(X), _ROWS_OF_DEPENDENCE)
    if len(rows) < 3:  # scikit-learn takes two rows for two classes
        rows = np.tile(rows, 3)
    some = X.iloc[rows][used]
    # scikit-learn would round values that lie between integers.
    whole = {n: float for n in used if pd.api.types.is_integer_dtype(some[n].dtype)}
    some = some.astype(whole)
    found: list[Dependence] = []
    for name in names:
        if len(found) == most:
            break
        points = _points(column_of(X, name), described[name])
        if points is None or len(points[0]) < 2:
            continue
        values, places, labels = points
        feature = used.index(name)
        result = partial_dependence(
            model, some, [feature], custom_values={feature: values}, method="brute"
        )
        is_date = described[name]["kind"] == "date"
        found.append(Dependence(name, places, labels, result["average"], is_date))
    return found


def _points(
    column: pd.Series, described: dict[str, Any]
) -> tuple[list[Any], NDArray[np.float64], list[str]] | None:
    """Choose values of a column: some of its quantiles, or its most frequent levels.

    Returns
    -------
    values : list
        As they stand in the table.
    places : ndarray of shape (n_points,)
    labels : list of str
        Or None for free text.
    """
    kind, name = described["kind"], described["name"]
    if kind == "words":
        return None
    if kind == "date":
        numbers = read_dates(column, described.get("date_form", ""), called(name))
    elif kind == "numeric":
        numbers = numbers_of(column, described.get("number_format", ""), called(name))
    else:
        counts = column[column.notna()].value_counts()
        values = list(counts.index[:_MOST_LEVELS])
        return values, np.arange(len(values), dtype=float), [str(value) for value in values]
    known = np.flatnonzero(np.isfinite(numbers))
    if not len(known):
        return None
    order = known[np.argsort(numbers[known], kind="stable")]
    ranks = np.unique(np.round(np.linspace(0.02, 0.98, _N_POINTS) * (len(order) - 1)).astype(int))
    places, first = np.unique(numbers[order[ranks]], return_index=True)
    values = [column.iloc[i] for i in order[ranks][first]]
    if pd.api.types.is_integer_dtype(column.dtype):
        values = [float(value) for value in values]
    return values, places, []
