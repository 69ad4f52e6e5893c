"""Whether rows are those that a model was trained on, so that nobody is glad of its scores on them.

A model keeps hashes of its rows: all of them, or of many rows the smallest ones, which are a random
sample. Other rows with a hash as small as these are among them if and only if they are equal.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtrc

from .several import models_of, target_names

_MOST_HASHES = 2000
# Where more rows of a table are equal to others, new rows are, too, and that says nothing.
_SHARE_OF_DIFFERENT = 0.9
# New rows are equal to kept ones with this probability at most, if equal rows come in pairs; more
# of them than chance can explain are rows of the training.
_SHARE_BY_CHANCE = 0.2
_MOST_PROBABILITY = 0.001
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio


def hashes_to_keep(model: Any, frame: pd.DataFrame) -> NDArray[np.uint32]:
    """Return what a model keeps of the rows that it was trained on.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : pandas.DataFrame
        The rows, with the target among the columns.

    Returns
    -------
    ndarray of shape (n_hashes,), uint32
        The smallest hashes in ascending order, at most 2000; none where many rows are equal.
    """
    different = np.unique(_hashes(model, frame))
    if len(different) < _SHARE_OF_DIFFERENT * len(frame):
        return different[:0]
    return different[:_MOST_HASHES]


def share_trained_on(model: Any, frame: pd.DataFrame) -> float:
    """Estimate which share of some rows a model was trained on.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        A fitted model.
    frame : pandas.DataFrame
        As from :func:`fastmlp.tabular.train.read_for`, with the target among the columns.

    Returns
    -------
    float
        Exact where the model was trained on fewer than 2000 rows. 0 where nothing is known, and
        where so many equal rows may be chance: of five rows all must be known, of many clearly
        more than a fifth.
    """
    kept = getattr(model, "trained_rows_", np.empty(0, np.uint32))
    if not len(kept):
        return 0.0
    found = _hashes(model, frame)
    if len(kept) >= _MOST_HASHES:  # they are a sample of all
        found = found[found <= kept.max()]
    n_known = np.count_nonzero(np.isin(found, kept))
    if n_known == 0 or bdtrc(n_known - 1, len(found), _SHARE_BY_CHANCE) > _MOST_PROBABILITY:
        return 0.0
    return float(n_known / len(found))


def _hashes(model: Any, frame: pd.DataFrame) -> NDArray[np.uint32]:
    """Hash the columns that a model uses, and its targets, row by row."""
    names = [
        column["name"]
        for one in models_of(model)
        for column in one.columns_
        if column["kind"] != "dropped"
    ]
    found = np.zeros(len(frame), np.uint64)
    for name in dict.fromkeys([*names, *target_names(model)]):
        place: Any = frame.columns.get_loc(name)
        found = (found ^ _hashes_of_column(frame.iloc[:, place])) * _FACTOR
    return (found >> np.uint64(32)).astype(np.uint32)


def _hashes_of_column(column: pd.Series) -> NDArray[np.uint64]:
    """Hash values whatever their type: it differs between files that hold the same rows."""
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number:
        numbers = column.to_numpy(np.float64, na_value=np.nan) + 0.0  # -0 is 0
        numbers[np.isnan(numbers)] = np.nan  # all of the same bits
        return pd.util.hash_array(numbers)
    texts = column.astype(object).where(column.notna(), "")
    # Text may hold halves of characters, which have no code of their own in UTF-8.
    codes = texts.map(lambda value: str(value).encode("utf-8", "surrogatepass"))
    return pd.util.hash_array(codes.to_numpy(object))
