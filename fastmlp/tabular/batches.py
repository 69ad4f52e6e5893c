"""Predictions for many small tables at once, each with the bits of a prediction of its own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..estimators.class_targets import decode
from .encoders.assembly import make_inputs
from .few_rows import ReadRows
from .pack.members import Pack
from .rows import read_any_rows
from .several import models_of

_AT_ONCE = 8192  # rows whose inputs are made at a time


class Predictions(NamedTuple):
    """What a model predicts for some rows.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), or (n_rows, n_values)
        What ``predict`` returns: labels or numbers, with a column for each of several targets or
        quantiles.
    probabilities : ndarray of shape (n_rows, n_classes), float32, or None
        What ``predict_proba`` returns; None for a regression.
    """

    values: NDArray[Any]
    probabilities: NDArray[np.float32] | None


def read_table_rows(model: Any, X: Any) -> list[ReadRows]:
    """Read the rows of a table once for each target of a fitted model, without a word on them.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    X : data frame, or list of dict
        At least one row.

    Returns
    -------
    list of ReadRows

    Raises
    ------
    DataError
        When the table cannot be predicted.
    """
    return [read_any_rows(one, one.preprocessor_, X) for one in models_of(model)]


def predict_tables(model: Any, tables: Sequence[list[ReadRows]]) -> list[Predictions]:
    """Predict the rows of several tables, whose networks are asked once.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    tables : sequence of list of ReadRows
        Each from :func:`read_table_rows`.

    Returns
    -------
    list of Predictions
        One for each table.
    """
    columns = []
    probabilities = None
    for place, one in enumerate(models_of(model)):
        reads = [table[place] for table in tables]
        numbers = np.concatenate([read.numbers for read in reads])
        codes = np.concatenate([read.codes for read in reads])
        outputs = _outputs(one, numbers, codes)
        if hasattr(one, "classes_"):
            probabilities = outputs
            columns.append(_labels(one, probabilities))
        else:
            columns.append(one._predictions(outputs))
    values = columns[0] if len(columns) == 1 else np.column_stack(columns)
    ends = np.cumsum([len(table[0].numbers) for table in tables])[:-1]
    parts = np.split(values, ends)
    of_parts = [None] * len(parts) if probabilities is None else np.split(probabilities, ends)
    return [Predictions(*part) for part in zip(parts, of_parts, strict=True)]


def _outputs(model: Any, numbers: NDArray[np.float64], codes: NDArray[np.intp]) -> NDArray[Any]:
    """Return the probabilities, or the standardised numbers, that a model predicts for rows.

    Inputs are made for some rows at a time, so that they are in the processor's cache when the
    networks read them, and a wide table needs no more memory.
    """
    fitted, network = model.preprocessor_, model.estimator_
    predict = network.predict_proba if hasattr(model, "classes_") else network.predict
    found = [
        predict(make_inputs(fitted, numbers[i : i + _AT_ONCE], codes[i : i + _AT_ONCE]))
        for i in range(0, len(numbers), _AT_ONCE)
    ]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _labels(model: Any, probabilities: NDArray[np.float32]) -> NDArray[Any]:
    """Return the labels that ``predict`` returns where the probabilities are these."""
    threshold = getattr(model, "threshold_", None)
    if threshold is not None:
        labels: NDArray[Any] = model.classes_[(probabilities[:, 1] > threshold).astype(int)]
        return labels
    network = model.estimator_
    if isinstance(network, Pack):
        labels = model.classes_[np.argmax(probabilities, axis=1)]
        return labels
    outputs = probabilities[:, 1:] if network.n_outputs_ == 1 else probabilities
    return decode(network._label_binarizer, outputs)
