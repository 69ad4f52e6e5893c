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
from .cells import cells_of, texts_of
from .columns import Column, called, describe_column, drop_copies
from .dates import TIME_OF_DAY, read_dates
from .earlier import in_this_version
from .encoders.assembly import make_inputs
from .encoders.dates import is_circular, varying_parts
from .encoders.learning import learn_inputs
from .encoders.means import LevelMeans
from .encoders.target import Target, read_encoding_target
from .encoders.words import Words, learn_words
from .frames import read_frame
from .levels import frequent_levels, level_counts
from .rows import names_of_inputs, numbers_of_columns, read_any_rows, read_rows
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

    The median of a number becomes 0 and the distance of its quartiles 1, and
    ``x / sqrt(1 + (x / 3)**2)`` limits outliers; two values become -1 and 1. Missing numbers are
    replaced by the median of their column, and an indicator tells where. Text is one-hot encoded;
    missing text is a level of its own, and all rare and unknown levels form one group. A level is
    rare if it has fewer than 5 rows (2 in a table of fewer than 500 rows), or if it is not one of
    the `max_levels` most frequent levels of its column. Blanks around text do not matter.

    Dates and times of the day become seconds, years, months and so on, and places in the circle of
    the year, week and day. Free text, of three words and more, becomes a few components of its
    words and runs of letters. A column is dropped if it is constant, has no values, numbers the
    rows, equals another column, or holds short text that differs in (almost) every row.

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
    number_means : bool, default=False
        Whether numbers get means of y by value, as text does by level, where single values say
        more about y than piecewise-linear functions of the number do. That is so if it lowers the
        error on rows of other folds, and tried from 1500 rows on for columns of more than 13
        values, where at least half of the rows have a value that 5 rows or more have.
    linear : bool, default=False
        Whether numbers are also given standardised, without limiting outliers.
    max_levels : int, default=64
        The number of levels of a column that may have inputs of their own.
    text_components : int, default=30
        The number of components of a column of free text at most; with 0, such a column is
        dropped.
    task : {'auto', 'classification', 'regression'}, default='auto'
        What y is, where it is used; 'auto' decides by its values.
    random_state : int, RandomState instance or None, default=0
        Source of the folds of `target_means`, where none are given.

    Attributes
    ----------
    columns_ : list of dict
        Describes each column, in the order of the table, by its 'name', its 'kind' ('numeric',
        'text', 'date', 'words' or 'dropped'), the 'reason' why it was dropped (empty for the
        others), a 'note' for the user (empty if there is none), the 'number_format' in which its
        numbers are written as text, such as ``1.234,5 EUR`` (empty for plain numbers), the
        'rare_share' of rows whose text has no input of its own, and the 'date_form' of dates such
        as ``3/4/2024`` ('day first' or 'month first') and of times ('time of day').
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
    number_mean_columns_ : ndarray of shape (n_columns,), int64
        The positions of the numbers that have means by value.
    number_mean_values_ : list of ndarray of shape (n_values,), float32
        The values of each of these numbers that have a mean of their own, in increasing order.
    number_means_ : list of ndarray of shape (n_values + 1, n_inputs), float32
        As ``level_means_``, for the values of numbers.
    date_parts_ : list of list of str
        The parts of each column of dates that are numbers, such as 'seconds' and 'weekday'.
    word_terms_, word_weights_, word_components_ : list of ndarray
        The terms of each column of free text, their weights, both of shape (n_terms,), and the
        components, of shape (n_terms, n_components).
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
        "number_means": ["boolean"],
        "linear": ["boolean"],
        "max_levels": [Interval(Integral, 1, None, closed="left")],
        "text_components": [Interval(Integral, 0, None, closed="left")],
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
        number_means: bool = False,
        linear: bool = False,
        max_levels: int = 64,
        text_components: int = 30,
        task: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.scaling = scaling
        self.n_bins = n_bins
        self.bin_edges = bin_edges
        self.target_means = target_means
        self.number_means = number_means
        self.linear = linear
        self.max_levels = max_levels
        self.text_components = text_components
        self.task = task
        self.random_state = random_state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # An older version may have saved it without parameters that are newer.
        defaults = {k: p.default for k, p in signature(type(self)).parameters.items()}
        super().__setstate__({**defaults, **in_this_version(state)})

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the kinds of the columns, and their medians, scales and levels.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both.
        y : array-like of shape (n_rows,), optional
            The target. It is used only for ``bin_edges='tree'`` and 'both', for `target_means`
            and for `number_means`.

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
        return self._learn_inputs_and_means(X, y, folds)[0]

    def _learn_inputs_and_means(
        self, X: Any, y: Any, folds: Any
    ) -> tuple[NDArray[np.float32], list[LevelMeans | None]]:
        """Return the inputs of the training rows, and what makes the means among them."""
        (numbers, codes), means = self._learn(X, y, folds)
        return make_inputs(self, numbers, codes, means), means

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
        return self._inputs_of(self, X)

    def _inputs_of(self, estimator: Any, X: Any) -> NDArray[np.float32]:
        """Convert the rows of a table that was given to an estimator."""
        numbers, codes, remarks = read_any_rows(estimator, self, X)
        warn_of(remarks)
        return make_inputs(self, numbers, codes)

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
        return names_of_inputs(self, self._input_names(input_features))

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

    def _learn(self, X: Any, y: Any, folds: Any) -> tuple[_Table, list[LevelMeans | None]]:
        """Set all fitted attributes, or none if this fails.

        X may be a :class:`Table`, whose columns have been looked at before.

        Returns
        -------
        table : tuple
            The numbers and the codes of the training rows.
        means : list of LevelMeans or None
            What makes the means that the training rows see, for each text column, and then for
            each number with means.
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
            drop_copies(described, given.frame)
            self._learn_parts(described, given.frame)
            self.columns_ = [asdict(column) for column in described]
            if all(column.kind == "dropped" for column in described):
                raise DataError(
                    "no feature column is left: all are constant, missing or identifiers"
                )
            n_levels = self._learn_levels(
                [given.frame.iloc[:, i] for i, c in enumerate(described) if c.kind == "text"]
            )
            numbers, codes = read_rows(self, given.frame)
            text = [column for column in self.columns_ if column["kind"] == "text"]
            for i, (column, levels) in enumerate(zip(text, self.levels_, strict=True)):
                column["rare_share"] = float(np.mean(codes[:, i] == len(levels)))
            traits = [
                (
                    kind == "numeric" or (kind == "date" and not is_circular(part)),
                    is_first,
                    kind == "numeric",
                )
                for kind, _, part, is_first in numbers_of_columns(self)
            ]
            attributes, means = learn_inputs(self, numbers, traits, codes, n_levels, target, folds)
            for name, value in attributes.items():
                setattr(self, name, value)
        return (numbers, codes), means

    def _learn_parts(self, described: Sequence[Column], frame: pd.DataFrame) -> None:
        """Set what becomes of dates and of free text; a column that gives nothing is dropped."""
        self.date_parts_: list[list[str]] = []
        learned: list[Words] = []
        for i, column in enumerate(described):
            if column.kind == "date":
                is_time = column.date_form == TIME_OF_DAY
                seconds = read_dates(frame.iloc[:, i], column.date_form, called(column.name))
                parts = varying_parts(seconds, is_time)
                if parts:
                    self.date_parts_.append(parts)
                else:
                    column.kind, column.reason = "dropped", "dates that are all alike"
            elif column.kind == "words":
                if self.text_components:
                    texts = texts_of(cells_of(frame.iloc[:, i], called(column.name)))
                    learned.append(learn_words(texts, self.text_components))
                else:
                    column.kind, column.reason = "dropped", "text of many words"
        self.word_terms_ = [words.terms for words in learned]
        self.word_weights_ = [words.weights for words in learned]
        self.word_components_ = [words.components for words in learned]

    def _needs_target(self) -> bool:
        has_edges = bool(self.n_bins) and self.bin_edges != "quantile"
        return bool(self.target_means) or self.number_means or has_edges

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

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = self._needs_target()
        return tags
