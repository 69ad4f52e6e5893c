"""Conversion of the columns of a data frame to the inputs of a network."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from inspect import signature
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils.validation import check_is_fitted

from ..estimators._sklearn import Interval, StrOptions, validate_parameters
from ..exceptions import DataError
from .cells import numbers_of
from .columns import (
    called,
    describe_column,
    frequent_levels,
    level_codes,
    level_counts,
    shown_level,
    unknown_levels,
)
from .earlier import without_transformers
from .encoders.assembly import make_inputs
from .encoders.learning import learn_inputs
from .encoders.target import Target, read_encoding_target
from .frames import read_frame
from .numbers import misread_note
from .table import Table, settle_table, warn_of

_MEAN_LEVELS = 17  # from so many levels on, ``target_means=True`` adds means
_MOST_MEAN_LEVELS = 10_000

# The numbers of a table, and the codes of its text columns.
_Table = tuple[NDArray[np.float64], NDArray[np.intp]]


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

    The median of a number becomes 0 and the distance of its quartiles 1, and :func:`squash` limits
    outliers; two values become -1 and 1. Missing numbers are replaced by the median of their
    column, and an indicator tells where. Text is one-hot encoded; missing text is a level of its
    own, and all rare and unknown levels form one group. A level is rare if it has fewer than 5
    rows (2 in a table of fewer than 500 rows), or if it is not one of the `max_levels` most
    frequent levels of its column. Blanks around text do not matter. A column is dropped if it is
    constant, has no values, numbers the rows, or holds dates, times or text that differs in
    (almost) every row.

    Numbers are numbers in columns of any type: objects such as ``Decimal``, categories, nullable
    types, and text that is written as numbers are, such as ``1.234,5``, ``$1,200`` or ``4.5%``
    (which is 4.5), if all of the column is. Durations are taken in seconds.

    Parameters
    ----------
    scaling : {'robust', 'standard'}, default='robust'
        Whether numbers are scaled by their median and quartiles, or by their mean and standard
        deviation. In a column of which one value has most rows, the quartiles of the other values
        count.
    n_bins : int, default=0
        The number of piecewise-linear components of a number at most, beside the number itself;
        0 makes none. They are fewer where they would be more than 1600 in all.
    bin_edges : {'quantile', 'tree', 'both'}, default='quantile'
        Where the components meet: so that each has about as many rows, and each frequent value
        has its own; or at the thresholds of a decision tree that predicts y by the column; or
        components of both kinds.
    target_means : bool or int, default=False
        Whether text columns of many levels get means of y by level (one for each class, if there
        are 3 to 10), and the logarithm of the level's number of rows. An int is the number of
        levels from which on they do; True is 17. :meth:`fit_transform` gives each row means over
        rows of other folds, and :meth:`transform` gives means over all rows.
    linear : bool, default=False
        Whether numbers are also given standardised, without limiting outliers.
    max_levels : int, default=64
        The number of levels of a column that may have inputs of their own.
    task : {'auto', 'classification', 'regression'}, default='auto'
        What y is, where it is used; 'auto' decides by its values.
    random_state : int, RandomState instance or None, default=0
        Source of the folds of `target_means`, where none are given.

    Attributes
    ----------
    columns_ : list of dict
        Describes each column, in the order of the table, by its 'name', its 'kind' ('numeric',
        'text' or 'dropped'), the 'reason' why it was dropped (empty for the others), a 'note' for
        the user (empty if there is none), the 'number_format' in which its numbers are written as
        text, such as ``1.234,5 EUR`` (empty for plain numbers), and the 'rare_share' of rows whose
        text has no input of its own.
    groups_ : dict of str to tuple
        The first column of each group of inputs, and the one behind its last: 'tree' (components
        between thresholds of trees), 'base' (scaled numbers, indicators, levels and means), 'bins'
        (components between quantiles), and 'linear' (numbers that are not limited), in this order.
        A group is there if a parameter asks for it, though it may be empty.
    levels_ : list of list of str
        The levels of each text column that are told apart, the most frequent first.
    level_inputs_ : list of ndarray of shape (n_levels + 1, n_inputs), float32
        The inputs for the levels of each text column. Levels behind the last row have its inputs,
        as have those that were not seen in ``fit``.
    level_means_ : list of ndarray of shape (n_levels + 1, n_inputs), float32
        The means of y and the count for the levels of each text column, standardised and
        squashed; the last row is for all other levels. There are none unless `target_means` asks
        for them.
    fill_values_, centres_, scales_ : ndarray of shape (n_numbers,), float64
        What missing numbers count as, what is subtracted from numbers, and the factors then.
    is_binary_ : ndarray of shape (n_numbers,), bool
        Where numbers have two values, which become -1 and 1 instead of being squashed.
    indicator_columns_ : ndarray of shape (n_indicators,), int64
        The positions of the numbers that were missing in some row of the training.
    indicator_values_ : ndarray of shape (n_indicators, 2), float64
        The values of the indicators where the number is there, and where it is missing.
    piece_columns_, piece_starts_, piece_widths_ : ndarray of shape (n_pieces,)
        The number that each piecewise-linear component belongs to, where the component begins
        among the scaled numbers, and how far it reaches; those of the group 'tree' come first.
    linear_columns_, linear_means_, linear_scales_ : ndarray of shape (n_linear,)
        The numbers of the group 'linear', their means, and the factors of the distance from them.
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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "scaling": [StrOptions({"robust", "standard"})],
        "n_bins": [Interval(Integral, 0, None, closed="left")],
        "bin_edges": [StrOptions({"quantile", "tree", "both"})],
        "target_means": ["boolean", Interval(Integral, 2, None, closed="left")],
        "linear": ["boolean"],
        "max_levels": [Interval(Integral, 1, None, closed="left")],
        "task": [StrOptions({"auto", "classification", "regression"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        scaling: str = "robust",
        n_bins: int = 0,
        bin_edges: str = "quantile",
        target_means: bool | int = False,
        linear: bool = False,
        max_levels: int = 64,
        task: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.scaling = scaling
        self.n_bins = n_bins
        self.bin_edges = bin_edges
        self.target_means = target_means
        self.linear = linear
        self.max_levels = max_levels
        self.task = task
        self.random_state = random_state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # An older version may have saved it without parameters that are newer.
        defaults = {k: p.default for k, p in signature(type(self)).parameters.items()}
        super().__setstate__({**defaults, **without_transformers(state)})

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the kinds of the columns, and their medians, scales and levels.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both.
        y : array-like of shape (n_rows,), optional
            The target. It is used only for ``bin_edges='tree'`` and 'both', and for
            `target_means`.

        Returns
        -------
        self : TabularPreprocessor

        Raises
        ------
        DataError
            When the table is empty, names a column twice, has infinite values, values beyond
            1e150 or cells that are neither numbers nor text, or has no column that a network could
            learn from.
        ValueError
            When a parameter needs y, and there is none.

        Warns
        -----
        DataWarning
            For each column that its owner should look at; see the notes in ``columns_``.
        """
        self._learn(X, y, None)
        warn_of(self._remarks())
        return self

    def fit_transform(self, X: Any, y: Any = None, folds: Any = None) -> NDArray[np.float32]:
        """Learn from a table, and convert its rows to the inputs of a network.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`fit`.
        y : array-like of shape (n_rows,), optional
            As for :meth:`fit`.
        folds : array-like of shape (n_rows,), optional
            The number of each row's fold. With `target_means`, a row sees means over the rows of
            all other folds; by default five folds are drawn at random.

        Returns
        -------
        ndarray of shape (n_rows, n_inputs), float32
            The same as ``fit(X, y).transform(X)``, but for `target_means`.
        """
        inputs = self._learn_inputs(X, y, folds)
        warn_of(self._remarks())
        return inputs

    def _learn_inputs(self, X: Any, y: Any = None, folds: Any = None) -> NDArray[np.float32]:
        """Learn from a table, without a word, and convert its rows."""
        (numbers, codes), crossed = self._learn(X, y, folds)
        return make_inputs(self, numbers, codes, crossed)

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
        numbers, codes = self._table(frame)
        warn_of([*self._misread(frame, numbers), *self._unknown_levels(frame, codes)])
        return make_inputs(self, numbers, codes)

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

    def _unknown_levels(self, frame: pd.DataFrame, codes: NDArray[np.intp]) -> list[str]:
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
            In the order of ``groups_``. In the group 'base' first come the names of the numeric
            columns, then the indicators, such as 'missing_age', then the levels of the text
            columns, such as 'city_Rome', with 'city_(other)' for rare and unknown levels, and
            then their means, such as 'city_mean'. Those of other groups are such as 'age_tree_1',
            'age_bin_1' and 'age_linear'.

        Raises
        ------
        ValueError
            When `input_features` are not the columns that were seen in ``fit``.
        """
        check_is_fitted(self)
        given = self._input_names(input_features)
        numeric = [given[name] for name in self._names("numeric")]
        base = [*numeric, *(f"missing_{numeric[i]}" for i in self.indicator_columns_)]
        text = [given[name] for name in self._names("text")]
        for name, levels, table in zip(text, self.levels_, self.level_inputs_, strict=True):
            shown = [*map(shown_level, levels[: len(table) - 1]), "(other)"]
            base += [f"{name}_{shown[row]}" for row in np.argmax(table, axis=0)]
        for name, table in zip(text, self.level_means_, strict=True):
            n_means = table.shape[1] - 1
            means = ["mean"] if n_means == 1 else [f"mean_{i}" for i in range(n_means)]
            base += [f"{name}_{what}" for what in (*means, "log_count")[: table.shape[1]]]
        pieces = [numeric[i] for i in self.piece_columns_]
        first, behind = self.groups_.get("tree", (0, 0))
        n_tree = behind - first
        of_group = {
            "tree": _numbered(pieces[:n_tree], "tree"),
            "base": base,
            "bins": _numbered(pieces[n_tree:], "bin"),
            "linear": [f"{numeric[i]}_linear" for i in self.linear_columns_],
        }
        return np.array([name for group in self.groups_ for name in of_group[group]], dtype=object)

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

    def _learn(self, X: Any, y: Any, folds: Any) -> tuple[_Table, list[NDArray[np.float32]]]:
        """Set all fitted attributes, or none if this fails.

        X may be a :class:`Table`, whose columns have been looked at before.

        Returns
        -------
        table : tuple
            The numbers and the codes of the training rows.
        crossed : list of ndarray of shape (n_rows, n_means)
            The means of the target that the training rows see, for each text column.
        """
        validate_parameters(self)
        with all_or_nothing(self):
            frame = read_frame(self, X.frame if isinstance(X, Table) else X, reset=True)
            if len(frame) < 2:
                raise DataError("X has 1 sample; medians, scales and levels need at least 2")
            target = self._read_target(y, frame)
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
            n_levels = self._learn_levels(
                [given.frame.iloc[:, i] for i, c in enumerate(described) if c.kind == "text"]
            )
            numbers, codes = self._table(given.frame)
            text = [column for column in self.columns_ if column["kind"] == "text"]
            for i, (column, levels) in enumerate(zip(text, self.levels_, strict=True)):
                column["rare_share"] = float(np.mean(codes[:, i] == len(levels)))
            attributes, crossed = learn_inputs(self, numbers, codes, n_levels, target, folds)
            for name, value in attributes.items():
                setattr(self, name, value)
        return (numbers, codes), crossed

    def _needs_target(self) -> bool:
        return bool(self.target_means) or bool(self.n_bins and self.bin_edges != "quantile")

    def _read_target(self, y: Any, frame: pd.DataFrame) -> Target | None:
        """Read the target, if a parameter makes use of it."""
        if not self._needs_target():
            return None
        target = read_encoding_target(self, y, self.task)
        check_consistent_length(frame, target.values)
        return target

    def _learn_levels(self, columns: Sequence[pd.Series]) -> list[tuple[int, int]]:
        """Set the levels of text columns.

        Returns
        -------
        list of tuple of int
            For each column the number of levels that have inputs of their own, and of those that
            have means.
        """
        least = _MEAN_LEVELS if self.target_means is True else self.target_means or np.inf
        self.levels_ = []
        numbers = []
        for column in columns:
            fewest = 5 if len(column) >= 500 else 2
            counts = level_counts(column)
            levels = frequent_levels(counts, fewest, self.max_levels)
            n_hot, n_means = len(levels), 0
            if len(counts) >= least:
                # The mean of a level of one row would say nothing to that row.
                levels = frequent_levels(counts, 2, _MOST_MEAN_LEVELS)
                n_means = len(levels)
            self.levels_.append(levels)
            numbers.append((n_hot, n_means))
        return numbers

    def _table(self, frame: pd.DataFrame) -> _Table:
        """Collect the numeric columns of a frame, and the codes of its text columns.

        Returns
        -------
        numbers : ndarray of shape (n_rows, n_numeric_columns), float64
            Missing values are not-a-number.
        codes : ndarray of shape (n_rows, n_text_columns), int
            The positions of the values in ``levels_``.
        """
        numeric, text = self._names("numeric"), self._names("text")
        missing = [name for name in (*numeric, *text) if name not in frame.columns]
        if missing:
            listed = ", ".join(repr(name) for name in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise DataError(f"missing columns: {listed}{more}; the model was trained with them")
        numbers = self._numbers(frame, numeric)
        codes = np.empty((len(frame), len(text)), dtype=np.intp)
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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = self._needs_target()
        return tags


def _column(frame: pd.DataFrame, name: Hashable) -> pd.Series:
    """Return the column of a frame with a name, which may be a tuple or not-a-number."""
    place: Any = frame.columns.get_loc(name)
    column: pd.Series = frame.iloc[:, place]
    return column


def _numbered(names: Sequence[Any], what: str) -> list[str]:
    """Name the pieces of columns, whose names stand together, as 'age_tree_1' and so on."""
    counts: dict[Any, int] = {}
    result = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        result.append(f"{name}_{what}_{counts[name]}")
    return result
