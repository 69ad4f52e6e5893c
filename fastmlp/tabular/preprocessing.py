"""From the columns of a data frame to the inputs of a network."""

from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataError
from .columns import describe_columns, first_text_value, frequent_levels, is_text, level_codes
from .frames import read_frame

_BLOCK_ROWS = 16384
SQUASH_BOUND = 3
SQUASH_LIMIT = 1e6  # the square of what lies beyond could overflow


@contextmanager
def all_or_nothing(estimator):
    """Leave an estimator as it was when the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class TabularPreprocessor(TransformerMixin, BaseEstimator):
    """Numbers for a network from a data frame with numeric and text columns.

    Missing numbers are replaced by the median, with an indicator column; numbers are
    standardised, and outliers drawn in by :func:`squash`. Text is one-hot encoded, with rare
    and unknown levels in one group and missing text as a level of its own. A level is rare with
    fewer than 5 rows (2 in tables of fewer than 500 rows), or beyond the 99 most frequent ones
    of its column. Columns that are constant, all missing, dates, or text that differs in
    (almost) every row are dropped.

    Attributes
    ----------
    columns_ : list of dict
        Of each column in the order of the table 'name', 'kind' ('numeric', 'text' or
        'dropped'), 'reason' (why it was dropped, else empty) and 'note' (what there is to know
        of it, else empty).
    levels_ : list of list of str
        For each text column the levels with an input of their own, the most frequent one first.
    imputer_ : sklearn.impute.SimpleImputer or None
        Replaces missing numbers; None without numeric columns.
    scaler_ : sklearn.preprocessing.StandardScaler or None
        Standardises what the imputer gives.
    encoder_ : sklearn.preprocessing.OneHotEncoder or None
        Encodes the places of values in `levels_`; None without text columns.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_columns,)
        Their names, when all are strings.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularPreprocessor
    >>> frame = pd.DataFrame({"size": [1.0, None, 3.0], "colour": ["red", "blue", "red"]})
    >>> TabularPreprocessor().fit_transform(frame).shape
    (3, 4)
    """

    __module__ = "fastmlp"  # where users and model files find it

    def fit(self, X, y=None):
        """Learn kinds of columns, medians, scales and levels.

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
            When the table is empty, names a column twice, is infinite somewhere, or has no
            column that a network could learn from.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Learn from a table, and give the inputs for its rows.

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
        return self._inputs(self._fit(X))

    def transform(self, X):
        """The inputs of a network for the rows of a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame has the columns of ``fit``, in any order; others are ignored. An array has
            the same columns in the same order.

        Returns
        -------
        ndarray of shape (n_rows, n_inputs), float32

        Raises
        ------
        DataError
            When columns are missing, hold text instead of numbers, or are infinite somewhere.
        """
        check_is_fitted(self)
        return self._inputs(self._table(read_frame(self, X, reset=False)))

    def get_feature_names_out(self, input_features=None):
        """Names of the inputs.

        Parameters
        ----------
        input_features : array-like of shape (n_columns,), optional
            As in scikit-learn, only to name the columns of an array: those of a frame are known.

        Returns
        -------
        ndarray of shape (n_inputs,), of strings
            The names of the numeric columns, of the indicators ('missing' and a name), and for
            each level of text a name and the level; '(other)' stands for rare and unknown ones.

        Raises
        ------
        ValueError
            When `input_features` are not the columns of ``fit``.
        """
        check_is_fitted(self)
        called = self._input_names(input_features)
        numeric = [called[name] for name in self._names("numeric")]
        names = list(numeric)
        if self.imputer_ is not None and self.imputer_.indicator_ is not None:
            names += [f"missing_{numeric[i]}" for i in self.imputer_.indicator_.features_]
        for name, levels, codes in self._encoded_text():
            shown = [*levels, "(other)"]
            names += [f"{called[name]}_{shown[code]}" for code in codes]
        return np.array(names, dtype=object)

    def _input_names(self, input_features):
        """From the columns' names to those that the user gives them."""
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

    def _names(self, kind):
        return [column["name"] for column in self.columns_ if column["kind"] == kind]

    def _encoded_text(self):
        """For each text column its name, levels and the codes that have an input."""
        codes = [] if self.encoder_ is None else self.encoder_.categories_
        codes = [places.astype(int) for places in codes]
        return zip(self._names("text"), self.levels_, codes, strict=True)

    def _fit(self, X):
        """Set all fitted attributes, or none; the table of numbers and codes."""
        with all_or_nothing(self):
            frame = read_frame(self, X, reset=True)
            if len(frame) < 2:
                raise DataError("X has 1 sample; medians, scales and levels need at least 2")
            self.columns_ = [asdict(column) for column in describe_columns(frame)]
            if not (self._names("numeric") or self._names("text")):
                raise DataError(
                    "no feature column is left: all are constant, missing or identifiers"
                )
            fewest = 5 if len(frame) >= 500 else 2
            self.levels_ = [frequent_levels(frame[name], fewest) for name in self._names("text")]
            numbers, codes = table = self._table(frame)
            self.imputer_ = self.scaler_ = self.encoder_ = None
            if numbers.shape[1]:
                self.imputer_ = _giving_arrays(SimpleImputer(strategy="median", add_indicator=True))
                self.scaler_ = _giving_arrays(StandardScaler())
                self.scaler_.fit(self.imputer_.fit_transform(numbers))
            if codes.shape[1]:
                # The last code of a column is all that is rare or unknown. Without it in
                # training, an unknown level has no input of its own.
                encoder = OneHotEncoder(
                    handle_unknown="ignore", sparse_output=False, dtype=np.float32
                )
                self.encoder_ = _giving_arrays(encoder).fit(codes)
        return table

    def _table(self, frame):
        """The numeric columns as float64, and the codes of the text columns."""
        numeric, text = self._names("numeric"), self._names("text")
        missing = [name for name in (*numeric, *text) if name not in frame.columns]
        if missing:
            listed = ", ".join(repr(name) for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise DataError(f"missing columns: {listed}{more}; the model was trained with them")
        for name in numeric:
            if is_text(frame[name]) and frame[name].notna().any():
                row, value = first_text_value(frame[name])
                raise DataError(
                    f"column {name!r} has the text {str(value)!r} in row {row + 1}; the model "
                    "was trained on numbers there (name marks of missing values with `na_values`)"
                )
        numbers = np.empty((len(frame), len(numeric)))
        numbers[:] = frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
        infinite = np.isinf(numbers)
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise DataError(f"column {numeric[column]!r} is infinite in row {row + 1}")
        codes = np.empty((len(frame), len(text)))
        for i, (name, levels) in enumerate(zip(text, self.levels_, strict=True)):
            codes[:, i] = level_codes(frame[name], levels)
        return numbers, codes

    def _inputs(self, table):
        """The network's float32 inputs; by blocks, as one-hot columns take much memory."""
        numbers, codes = table
        inputs = None
        for start in range(0, len(numbers), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            parts = []
            if self.imputer_ is not None:
                parts.append(self.scaler_.transform(self.imputer_.transform(numbers[rows])))
            if self.encoder_ is not None:
                parts.append(self.encoder_.transform(codes[rows]).astype(np.float64))
            block = squash(np.hstack(parts))
            if inputs is None:
                inputs = np.empty((len(numbers), block.shape[1]), dtype=np.float32)
            inputs[rows] = block
        return inputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _giving_arrays(transformer):
    """A transformer that gives arrays, whatever scikit-learn's configuration says."""
    return transformer.set_output(transform="default")


def squash(x):
    """x / sqrt(1 + (x / 3)^2): the identity near zero, bounded by 3.

    A standardised value far out, such as a pixel that is almost never lit, would otherwise
    decide a prediction alone (Holzmueller et al., 2024, "Better by default").

    Parameters
    ----------
    x : ndarray

    Returns
    -------
    ndarray of the same shape
    """
    x = np.clip(x, -SQUASH_LIMIT, SQUASH_LIMIT)
    return x / np.sqrt(1 + np.square(x / SQUASH_BOUND))
