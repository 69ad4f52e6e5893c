"""Conversion of the columns of a data frame to the inputs of a network."""

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError
from .cells import numbers_of
from .columns import (
    called,
    describe_column,
    frequent_levels,
    level_codes,
    shown_level,
    unknown_levels,
)
from .frames import read_frame
from .numbers import misread_note
from .table import Table, settle_table, warn_of

# Rows that are converted at a time.
_BLOCK_ROWS = 16384
SQUASH_BOUND = 3
SQUASH_LIMIT = 1e6  # larger numbers are clipped, since their squares could overflow

# The numeric columns of a table, and the codes of its text columns.
_Table = tuple[NDArray[np.float64], NDArray[np.float64]]


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Restore the attributes of an estimator if the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__ = before  # in one step, so that no other thread finds it empty
        raise


class TabularPreprocessor(TransformerMixin, BaseEstimator):
    """Convert a data frame with numeric and text columns to numbers for a network.

    Missing numbers are replaced by the median of their column, and an indicator column tells
    where. Numbers are standardised, and :func:`squash` limits outliers. Text is one-hot encoded;
    missing text is a level of its own, and all rare and unknown levels form one group. A level is
    rare if it has fewer than 5 rows (2 in a table of fewer than 500 rows), or if it is not one of
    the 99 most frequent levels of its column. Blanks around text do not matter. A column is
    dropped if it is constant, has no values, numbers the rows, or holds dates, times or text that
    differs in (almost) every row.

    Numbers are numbers in columns of any type: objects such as ``Decimal``, categories, nullable
    types, and text that is written as numbers are, such as ``1.234,5``, ``$1,200`` or ``4.5%``
    (which is 4.5), if all of the column is. Durations are taken in seconds.

    Attributes
    ----------
    columns_ : list of dict
        Describes each column, in the order of the table, by its 'name', its 'kind' ('numeric',
        'text' or 'dropped'), the 'reason' why it was dropped (empty for the others), a 'note' for
        the user (empty if there is none), the 'number_format' in which its numbers are written as
        text, such as ``1.234,5 EUR`` (empty for plain numbers), and the 'rare_share' of rows whose
        text has no input of its own.
    levels_ : list of list of str
        The levels of each text column that have an input of their own, the most frequent first.
    imputer_ : sklearn.impute.SimpleImputer or None
        Replaces missing numbers; None if no column is numeric.
    scaler_ : sklearn.preprocessing.StandardScaler or None
        Standardises the output of the imputer; None if no column is numeric.
    encoder_ : sklearn.preprocessing.OneHotEncoder or None
        Encodes the positions of values in `levels_`; None if no column is text.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns seen in ``fit``. Defined only if all of them are strings.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularPreprocessor
    >>> frame = pd.DataFrame({"size": [1.0, None, 3.0], "colour": ["red", "blue", "red"]})
    >>> TabularPreprocessor().fit_transform(frame).shape
    (3, 4)
    """

    __module__ = "fastmlp"  # where users and model files find it

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the kinds of the columns, and their medians, scales and levels.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both.
        y : None
            Ignored.

        Returns
        -------
        self : TabularPreprocessor

        Raises
        ------
        DataError
            When the table is empty, names a column twice, has infinite values, values beyond
            1e150 or cells that are neither numbers nor text, or has no column that a network could
            learn from.

        Warns
        -----
        DataWarning
            For each column that its owner should look at; see the notes in ``columns_``.
        """
        self._learn(X)
        warn_of(self._remarks())
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Learn from a table, and convert its rows to the inputs of a network.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`fit`.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_rows, n_inputs), float32
        """
        inputs = self._learn_inputs(X)
        warn_of(self._remarks())
        return inputs

    def _learn_inputs(self, X: Any) -> NDArray[np.float32]:
        """Learn from a table, without a word, and convert its rows."""
        return self._inputs(self._learn(X))

    def _remarks(self) -> list[str]:
        """List the notes on the columns, with their names."""
        return [f"{called(c['name'])} {c['note']}" for c in self.columns_ if c["note"]]

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Convert the rows of a table to the inputs of a network.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame must have the columns that were seen in ``fit``, in any order; further
            columns are ignored. An array must have the same columns in the same order.

        Returns
        -------
        ndarray of shape (n_rows, n_inputs), float32

        Raises
        ------
        DataError
            When columns are missing, hold text instead of numbers, or have infinite values.

        Warns
        -----
        DataWarning
            When a text column has hardly a level that was seen in ``fit``, and when numbers look
            as if marks of thousands had been taken for decimal points.
        """
        check_is_fitted(self)
        frame = read_frame(self, X, reset=False)
        table = self._table(frame)
        warn_of([*self._misread(frame, table[0]), *self._unknown_levels(frame, table[1])])
        return self._inputs(table)

    def _misread(self, frame: pd.DataFrame, numbers: NDArray[np.float64]) -> list[str]:
        """Remark on numbers that may have been text with marks of thousands."""
        remarks = []
        numeric = [column for column in self.columns_ if column["kind"] == "numeric"]
        for i, column in enumerate(numeric):
            form, name = column.get("number_format", ""), column["name"]
            is_float = form and pd.api.types.is_float_dtype(_column(frame, name))
            if is_float and (found := misread_note(numbers[:, i], form)):
                remarks.append(f"{called(name)} {found}")
        return remarks

    def _unknown_levels(self, frame: pd.DataFrame, codes: NDArray[np.float64]) -> list[str]:
        """Remark on text columns that have hardly a level that was seen in ``fit``."""
        text = [column for column in self.columns_ if column["kind"] == "text"]
        remarks = []
        for i, (column, levels) in enumerate(zip(text, self.levels_, strict=True)):
            rare_share = column.get("rare_share", 0.0)  # a model of an older version has none
            name = column["name"]
            found = unknown_levels(
                _column(frame, name), codes[:, i] == len(levels), levels, rare_share
            )
            if found:
                remarks.append(f"{called(name)} {found}")
        return remarks

    def get_feature_names_out(
        self, input_features: Iterable[Any] | None = None
    ) -> NDArray[np.object_]:
        """Return the names of the network's inputs.

        Parameters
        ----------
        input_features : array-like of shape (n_columns,), optional
            Names for the columns of an array. For a frame they must be its own names, as in
            scikit-learn.

        Returns
        -------
        ndarray of shape (n_inputs,), of strings
            First come the names of the numeric columns, then the indicators, such as
            'missing_age', and then the levels of the text columns, such as 'city_Rome', with
            'city_(other)' for rare and unknown levels.

        Raises
        ------
        ValueError
            When `input_features` are not the columns that were seen in ``fit``.
        """
        check_is_fitted(self)
        given = self._input_names(input_features)
        numeric = [given[name] for name in self._names("numeric")]
        names = list(numeric)
        if self.imputer_ is not None and self.imputer_.indicator_ is not None:
            names += [f"missing_{numeric[i]}" for i in self.imputer_.indicator_.features_]
        for name, levels, codes in self._encoded_text():
            shown = [*map(shown_level, levels), "(other)"]
            names += [f"{given[name]}_{shown[code]}" for code in codes]
        return np.array(names, dtype=object)

    def _input_names(self, input_features: Iterable[Any] | None) -> dict[Hashable, Any]:
        """Map the names of the columns to those that the user gives them."""
        columns = [column["name"] for column in self.columns_]
        has_names = hasattr(self, "feature_names_in_")
        if input_features is None:
            shown = columns if has_names else [f"x{name}" for name in columns]
        else:
            shown = list(input_features)
            if len(shown) != len(columns):
                raise ValueError(
                    f"input_features should have length equal to number of features "
                    f"({len(columns)}), got {len(shown)}"
                )
            if has_names and shown != columns:
                raise ValueError("input_features is not equal to feature_names_in_")
        return dict(zip(columns, shown, strict=True))

    def _names(self, kind: str) -> list[Hashable]:
        """List the names of the columns of a kind."""
        return [column["name"] for column in self.columns_ if column["kind"] == kind]

    def _encoded_text(self) -> Iterator[tuple[Hashable, list[str], NDArray[np.intp]]]:
        """Iterate over text columns: their names, levels, and codes that have an input."""
        categories = [] if self.encoder_ is None else self.encoder_.categories_
        codes = [places.astype(int) for places in categories]
        return zip(self._names("text"), self.levels_, codes, strict=True)

    def _learn(self, X: Any) -> _Table:
        """Set all fitted attributes, or none if this fails, and return the numbers and codes.

        X may be a :class:`Table`, whose columns have been looked at before.
        """
        with all_or_nothing(self):
            frame = read_frame(self, X.frame if isinstance(X, Table) else X, reset=True)
            if len(frame) < 2:
                raise DataError("X has 1 sample; medians, scales and levels need at least 2")
            given = X if isinstance(X, Table) else settle_table(frame)
            described = [
                describe_column(given.frame.iloc[:, i], note, form, reason)
                for i, (note, form, reason) in enumerate(
                    zip(given.notes, given.forms, given.reasons, strict=True)
                )
            ]
            self.columns_ = [asdict(column) for column in described]
            if not (self._names("numeric") or self._names("text")):
                raise DataError(
                    "no feature column is left: all are constant, missing or identifiers"
                )
            fewest = 5 if len(frame) >= 500 else 2
            self.levels_ = [
                frequent_levels(given.frame.iloc[:, i], fewest)
                for i, column in enumerate(described)
                if column.kind == "text"
            ]
            numbers, codes = table = self._table(given.frame)
            text = [column for column in self.columns_ if column["kind"] == "text"]
            for i, (column, levels) in enumerate(zip(text, self.levels_, strict=True)):
                column["rare_share"] = float(np.mean(codes[:, i] == len(levels)))
            self.imputer_: Any = None
            self.scaler_: Any = None
            self.encoder_: Any = None
            if numbers.shape[1]:
                self.imputer_ = _giving_arrays(SimpleImputer(strategy="median", add_indicator=True))
                self.scaler_ = _giving_arrays(StandardScaler())
                self.scaler_.fit(self.imputer_.fit_transform(numbers))
            if codes.shape[1]:
                # The last code of a column stands for all rare and unknown levels. If no row of
                # the training has this code, unknown levels have no input later.
                encoder = OneHotEncoder(
                    handle_unknown="ignore", sparse_output=False, dtype=np.float32
                )
                self.encoder_ = _giving_arrays(encoder).fit(codes)
        return table

    def _table(self, frame: pd.DataFrame) -> _Table:
        """Collect the numeric columns of a frame, and the codes of its text columns.

        Returns
        -------
        numbers : ndarray of shape (n_rows, n_numeric_columns), float64
            Missing values are not-a-number.
        codes : ndarray of shape (n_rows, n_text_columns), float64
            The positions of the values in ``levels_``.
        """
        numeric, text = self._names("numeric"), self._names("text")
        missing = [name for name in (*numeric, *text) if name not in frame.columns]
        if missing:
            listed = ", ".join(repr(name) for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise DataError(f"missing columns: {listed}{more}; the model was trained with them")
        numbers = self._numbers(frame, numeric)
        codes = np.empty((len(frame), len(text)))
        for i, (name, levels) in enumerate(zip(text, self.levels_, strict=True)):
            codes[:, i] = level_codes(_column(frame, name), levels)
        return numbers, codes

    def _numbers(self, frame: pd.DataFrame, numeric: list[Hashable]) -> NDArray[np.float64]:
        """Read the numeric columns of a frame as float64; missing values are not-a-number."""
        places: list[Any] = [frame.columns.get_loc(name) for name in numeric]
        part = frame.iloc[:, places]
        numbers = np.empty((len(frame), len(numeric)))
        if all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in part.dtypes):
            numbers[:] = part.to_numpy(dtype=np.float64)
            if not np.isinf(numbers).any():
                return numbers
        forms = {c["name"]: c.get("number_format", "") for c in self.columns_}
        for i, name in enumerate(numeric):
            numbers[:, i] = numbers_of(part.iloc[:, i], forms[name], called(name))
        return numbers

    def _inputs(self, table: _Table) -> NDArray[np.float32]:
        """Convert numbers and codes to the network's inputs of shape (n_rows, n_inputs).

        A block of rows is converted at a time, since one-hot columns in float64 take much memory.
        """
        numbers, codes = table
        if not len(numbers):
            return np.empty((0, len(self.get_feature_names_out())), dtype=np.float32)
        first = self._block(numbers[:_BLOCK_ROWS], codes[:_BLOCK_ROWS])
        inputs = np.empty((len(numbers), first.shape[1]), dtype=np.float32)
        inputs[:_BLOCK_ROWS] = first
        for start in range(_BLOCK_ROWS, len(numbers), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            inputs[rows] = self._block(numbers[rows], codes[rows])
        return inputs

    def _block(
        self, numbers: NDArray[np.float64], codes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Convert some rows of numbers and codes to inputs."""
        parts = []
        if self.imputer_ is not None:
            # Numbers far beyond those of the training may become infinite, and are limited below.
            with np.errstate(over="ignore"):
                parts.append(self.scaler_.transform(self.imputer_.transform(numbers)))
        if self.encoder_ is not None:
            parts.append(self.encoder_.transform(codes).astype(np.float64))
        return squash(np.hstack(parts))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _column(frame: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return the column of a frame with a name, which may be a tuple or not-a-number."""
    place: Any = frame.columns.get_loc(name)
    column: pd.Series = frame.iloc[:, place]
    return column


def _giving_arrays(transformer: Any) -> Any:
    """Let a transformer return arrays, whatever scikit-learn's configuration says."""
    return transformer.set_output(transform="default")


def squash(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute x / sqrt(1 + (x / 3)^2), which is about x near zero and stays between -3 and 3.

    Without a limit, one extreme value, such as that of a pixel that is almost never lit, could
    decide a prediction alone (Holzmueller et al., 2024, "Better by default").

    Parameters
    ----------
    x : ndarray
        Standardised values, in an array of any shape.

    Returns
    -------
    ndarray of the same shape
    """
    x = np.clip(x, -SQUASH_LIMIT, SQUASH_LIMIT)
    return x / np.sqrt(1 + np.square(x / SQUASH_BOUND))
