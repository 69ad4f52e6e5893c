"""From a data frame to a trained network and back to predictions: what the command line fits."""

import time
import warnings
from dataclasses import asdict
from inspect import signature

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..estimators.classifier import MLPClassifier
from ..estimators.regressor import MLPRegressor
from ..exceptions import DataError, DeviceError
from .metrics import baseline_metrics, classification_metrics, regression_metrics
from .tables import (
    check_complete,
    check_frame,
    check_learnable,
    decide_task,
    describe_columns,
    find_target,
    first_text_value,
    frequent_levels,
    is_text,
    level_codes,
    read_table,
    target_values,
)

_BLOCK_ROWS = 16384
_FEWEST_ROWS_FOR_EARLY_STOPPING = 300
_NOT_FOR_TABLES = {"verbose", "warm_start"}
SQUASH_BOUND = 3
SQUASH_LIMIT = 1e6  # the square of what lies beyond could overflow


class TabularModel:
    """A network for a table with numeric and text columns.

    Missing numbers are replaced by the median, with an indicator column; numbers are
    standardised, and outliers drawn in (see :func:`squash`). Text is one-hot encoded, with
    rare and unknown levels in one group and missing text as a level of its own. Columns that
    are constant, all missing, dates, or text that differs in (almost) every row are dropped.
    A regression target is standardised for training. Arithmetic is in float32.

    Parameters
    ----------
    target : str or None, default=None
        Name of the target column; None is the last one.
    task : {'auto', 'classification', 'regression'}, default='auto'
        'auto' is classification for text, truth values and at most 20 different integers.
    hidden : sequence of int, default=(128, 64)
        Units of the hidden layers.
    activation : str or sequence of str, default='relu'
        As for :class:`fastmlp.MLPClassifier`.
    max_epochs : int, default=200
    batch_size : int or None, default=None
        None is a fiftieth of the training rows, between 16 and 256.
    learning_rate : float, default=0.001
    alpha : float, default=0.0001
        L2 penalty.
    class_weight : 'balanced', dict or None, default=None
        Weight of each class in the loss and in the score of early stopping; 'balanced' makes
        all classes count the same. For classification only.
    early_stopping : bool or None, default=None
        Whether to hold a tenth of the training rows out and keep the best epoch; None is
        True from 300 training rows on.
    patience : int, default=12
        Epochs without improvement after which training stops.
    test_size : float, default=0.2
        Share of rows held out for the test metrics; 0 trains on all rows.
    random_state : int, default=0
    n_jobs : int or None, default=None
        Threads; None is all.
    device : {'cpu', 'cuda', 'auto'}, default='cpu'
        As for :class:`fastmlp.MLPClassifier`.
    na_values : sequence of str, default=()
        Marks of missing values in files, such as ``?``: for :meth:`read`, now and when the
        model has been loaded again.
    options : dict or None, default=None
        Further parameters of the estimator, such as ``{"dropout": 0.2, "lr_schedule":
        "cosine"}``. With the loss 'poisson' the target is scaled but not shifted; the Huber
        loss's limit is in standard deviations of the target.

    Attributes
    ----------
    columns_ : list of dict
        Name, kind ('numeric', 'text', 'target' or 'dropped'), for dropped columns the reason,
        and a note where there is something to know.
    target_ : str
    task_ : str
    classes_ : ndarray
        Class labels, for classification.
    estimator_ : MLPClassifier or MLPRegressor
    report_ : dict
        Rows, features, epochs, seconds, whether training converged or was interrupted, and
        unless `test_size` is 0 the metrics on the 'test' part and of a trivial 'baseline'.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularModel
    >>> frame = pd.read_csv("tests/data/concrete.csv")
    >>> model = TabularModel().fit(frame)
    >>> model.report_["test"]["r2"] > 0.8
    True
    """

    def __init__(
        self,
        target=None,
        task="auto",
        *,
        hidden=(128, 64),
        activation="relu",
        max_epochs=200,
        batch_size=None,
        learning_rate=0.001,
        alpha=0.0001,
        class_weight=None,
        early_stopping=None,
        patience=12,
        test_size=0.2,
        random_state=0,
        n_jobs=None,
        device="cpu",
        na_values=(),
        options=None,
    ):
        if task not in ("auto", "classification", "regression"):
            raise ValueError(f"task must be auto, classification or regression, got {task!r}")
        if not 0 <= test_size < 1:
            raise ValueError(f"test_size must be at least 0 and less than 1, got {test_size}")
        self.target = target
        self.task = task
        self.hidden = hidden
        self.activation = activation
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.patience = patience
        self.test_size = test_size
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        self.na_values = na_values
        self.options = options

    def __setstate__(self, state):
        # Parameters that the version which saved it did not have.
        defaults = {k: p.default for k, p in signature(type(self)).parameters.items()}
        self.__dict__.update({**defaults, **state})

    def read(self, path, *, separator=",", encoding="utf-8", na_values=()):
        """Read a CSV file in the way that this model needs.

        Once fitted, columns that were text in training stay text: a code such as ``007`` is
        not read as a number.

        Parameters
        ----------
        path : str or Path
        separator, encoding : str
        na_values : sequence of str
            Marks of missing values, beside the model's own.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        DataError
            See :func:`fastmlp.tabular.tables.read_table`.
        """
        text = []
        if hasattr(self, "report_"):
            text = self._names("text")
            if self.task_ == "classification" and self.classes_.dtype.kind in "US":
                text.append(self.target_)
        marks = [*self.na_values, *na_values]
        return read_table(path, separator=separator, encoding=encoding, na_values=marks, text=text)

    # ---- fitting -------------------------------------------------------------------------

    def fit(self, frame, callback=None):
        """Hold out a test part, prepare the columns, train, and measure.

        Ctrl-C ends training early and keeps what was learned.

        Parameters
        ----------
        frame : pandas.DataFrame
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.loop.Epoch`.

        Returns
        -------
        self : TabularModel

        Raises
        ------
        DataError
            When the table cannot be learned from.
        """
        check_frame(frame)
        self.target_ = find_target(frame, self.target)
        y = frame[self.target_]
        check_complete(y)
        self.task_, self.task_reason_ = decide_task(y) if self.task == "auto" else (self.task, "")
        if self.class_weight is not None and self.task_ != "classification":
            raise DataError("class weights are for classification, and this is a regression")
        y = target_values(y, self.task_)
        check_learnable(y, self.task_, self.target_)
        train_rows, test_rows = self._split(y)
        train_frame = frame.iloc[train_rows]
        self.columns_ = [asdict(c) for c in describe_columns(train_frame, self.target_)]
        if not (self._names("numeric") or self._names("text")):
            raise DataError("no feature column is left: all are constant, missing or identifiers")

        began = time.perf_counter()
        X = self._fit_preprocessor(train_frame)
        y_train = y[train_rows]
        if self.task_ == "regression":
            is_count = (self.options or {}).get("loss") == "poisson"
            self.target_mean_ = 0.0 if is_count else float(np.mean(y_train))
            self.target_scale_ = float(np.std(y_train)) or 1.0
            y_train = ((y_train - self.target_mean_) / self.target_scale_).astype(np.float32)
        self.estimator_ = self._build_estimator(y_train)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.estimator_.fit(X, y_train, callback=callback)
            except DeviceError:
                raise
            except ValueError as error:
                raise DataError(f"training failed: {error}") from error
        converged, interrupted = True, False
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                converged = False
            elif "interrupted" in str(warning.message):
                interrupted = True
            else:
                warnings.warn(warning.message, stacklevel=2)
        if self.task_ == "classification":
            self.classes_ = self.estimator_.classes_
        seconds = time.perf_counter() - began
        self.report_ = self._report(len(y), len(train_rows), X.shape[1], seconds)
        self.report_.update(converged=converged and not interrupted, interrupted=interrupted)
        if len(test_rows):
            test_frame = frame.iloc[test_rows]
            self.report_["test"] = self._metrics(test_frame, y[test_rows])
            self.report_["baseline"] = baseline_metrics(self.task_, y[train_rows], y[test_rows])
        return self

    def _split(self, y):
        rows = np.arange(len(y))
        if self.test_size == 0:
            return rows, rows[:0]
        stratify = None
        if self.task_ == "classification":
            counts = np.unique(y, return_counts=True)[1]
            n_test = int(np.ceil(self.test_size * len(y)))
            if counts.min() >= 2 and min(n_test, len(y) - n_test) >= len(counts):
                stratify = y
        try:
            train, test = train_test_split(
                rows, test_size=self.test_size, random_state=self.random_state, stratify=stratify
            )
        except ValueError:
            raise DataError(
                f"{len(y)} rows are too few to hold out {self.test_size:.0%}; use --test-size 0"
            ) from None
        if self.task_ == "classification" and len(np.unique(y[train])) < 2:
            raise DataError("the training part has a single class; use more rows or --test-size 0")
        return np.sort(train), np.sort(test)

    def _names(self, kind):
        return [column["name"] for column in self.columns_ if column["kind"] == kind]

    def _fit_preprocessor(self, frame):
        """Learn medians, scales and levels; the network's inputs for these rows."""
        numeric, text = self._names("numeric"), self._names("text")
        fewest = 5 if len(frame) >= 500 else 2
        self.levels_ = [frequent_levels(frame[name], fewest) for name in text]
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
        )
        # The last code of a column is all that is rare or unknown. Without it in training, an
        # unknown level has no input of its own.
        codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        # By place: names need not be text, and integers would be taken as places anyway.
        n_numeric, n_text = len(numeric), len(text)
        self.preprocessor_ = ColumnTransformer(
            [
                ("numeric", numbers, list(range(n_numeric))),
                ("text", codes, list(range(n_numeric, n_numeric + n_text))),
            ]
        )
        table = self._table(frame)
        self.preprocessor_.fit(table)
        return self._inputs(table)

    def _table(self, frame):
        """Numbers, then the codes of text, as one float64 array."""
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
                    "was trained on numbers there (name marks of missing values with --na)"
                )
        table = np.empty((len(frame), len(numeric) + len(text)))
        table[:, : len(numeric)] = frame[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
        infinite = np.isinf(table[:, : len(numeric)])
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise DataError(f"column {numeric[column]!r} is infinite in row {row + 1}")
        for i, (name, levels) in enumerate(zip(text, self.levels_, strict=True)):
            table[:, len(numeric) + i] = level_codes(frame[name], levels)
        return table

    def _inputs(self, table):
        """The network's float32 inputs; by blocks, as one-hot columns take much memory."""
        inputs = None
        for start in range(0, len(table), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            block = squash(self.preprocessor_.transform(table[rows]))
            if inputs is None:
                inputs = np.empty((len(table), block.shape[1]), dtype=np.float32)
            inputs[rows] = block
        return inputs

    def _check_fitted(self, frame):
        if not hasattr(self, "estimator_"):
            raise NotFittedError("this TabularModel has not been fitted; call fit first")
        check_frame(frame)

    def _features(self, frame):
        self._check_fitted(frame)
        return self._inputs(self._table(frame))

    def _build_estimator(self, y):
        n_rows = len(y)
        early_stopping = self.early_stopping
        if early_stopping is None:
            early_stopping = n_rows >= _FEWEST_ROWS_FOR_EARLY_STOPPING
        if early_stopping and self.task_ == "classification":
            counts = np.unique(y, return_counts=True)[1]
            # The split of two classes is stratified and needs two members of each.
            early_stopping = len(counts) > 2 or counts.min() >= 2
        batch_size = self.batch_size or int(np.clip(n_rows // 50, 16, 256))
        cls, own = MLPRegressor, {}
        if self.task_ == "classification":
            cls, own = MLPClassifier, {"class_weight": self.class_weight}
        own.update(
            hidden_layer_sizes=tuple(self.hidden),
            activation=self.activation,
            alpha=self.alpha,
            batch_size=min(batch_size, max(1, int(0.9 * n_rows) if early_stopping else n_rows)),
            learning_rate_init=self.learning_rate,
            max_iter=self.max_epochs,
            early_stopping=early_stopping,
            n_iter_no_change=self.patience,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
            device=self.device,
        )
        options = dict(self.options or {})
        known = set(signature(cls).parameters) - set(own) - _NOT_FOR_TABLES
        for name in options:
            if name in own:
                raise DataError(f"set {name!r} by its own option")
            if name not in known:
                raise DataError(
                    f"there is no option {name!r} for {self.task_}; the options are: "
                    f"{', '.join(sorted(known))}"
                )
        if np.size(options.get("quantiles", 0.5)) > 1:
            raise DataError("a model of a table predicts one quantile; fit a model for each")
        if options.get("solver") == "gd":
            own["batch_size"] = "auto"
        return cls(**own, **options)

    def _report(self, n_rows, n_train, n_inputs, seconds):
        units = [self.estimator_.coefs_[0].shape[0], *(w.shape[1] for w in self.estimator_.coefs_)]
        return {
            "rows": n_rows,
            "train_rows": n_train,
            "test_rows": n_rows - n_train,
            "target": self.target_,
            "task": self.task_,
            "task_reason": self.task_reason_,
            "numeric_columns": len(self._names("numeric")),
            "text_columns": len(self._names("text")),
            "dropped_columns": {
                column["name"]: column["reason"]
                for column in self.columns_
                if column["kind"] == "dropped"
            },
            "inputs": n_inputs,
            "layers": units,
            "epochs": int(self.estimator_.n_iter_),
            "seconds": round(seconds, 3),
            "loss": float(self.estimator_.loss_) if self.estimator_.loss_curve_ else None,
            "validation_score": self.estimator_.best_validation_score_,
        }

    # ---- using ---------------------------------------------------------------------------

    def predict(self, frame):
        """Predicted class labels or numbers, one for each row.

        Parameters
        ----------
        frame : pandas.DataFrame
            With the feature columns of training, in any order; others are ignored.

        Returns
        -------
        ndarray of shape (n_rows,)

        Raises
        ------
        DataError
            When columns are missing or hold text instead of numbers.
        """
        X = self._features(frame)
        predicted = self.estimator_.predict(X)
        if self.task_ == "regression":
            return predicted.astype(np.float64) * self.target_scale_ + self.target_mean_
        return predicted

    def predict_proba(self, frame):
        """Probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        frame : pandas.DataFrame

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        X = self._features(frame)
        if self.task_ != "classification":
            raise DataError("a regression model has no class probabilities")
        return self.estimator_.predict_proba(X)

    def evaluate(self, frame):
        """Metrics on a table that has the target column.

        Parameters
        ----------
        frame : pandas.DataFrame

        Returns
        -------
        dict of str to float
        """
        self._check_fitted(frame)
        if self.target_ not in frame.columns:
            raise DataError(f"there is no target column {self.target_!r} to compare with")
        y = frame[self.target_]
        check_complete(y)
        y = target_values(y, self.task_)
        if self.task_ == "classification":
            if self.classes_.dtype.kind in "US":
                y = y.astype(str)
            unknown = sorted(set(y.tolist()) - set(self.classes_.tolist()))
            if unknown:
                raise DataError(
                    f"target column {self.target_!r} has the class {unknown[0]!r}, which the "
                    "model does not know"
                )
        return self._metrics(frame, y)

    def _metrics(self, frame, y):
        if self.task_ == "regression":
            return regression_metrics(y, self.predict(frame))
        known = np.isin(y, self.classes_)
        probabilities = self.predict_proba(frame)
        return classification_metrics(y, probabilities, self.classes_, known)


def squash(x):
    """x / sqrt(1 + (x / 3)^2): the identity near zero, bounded by 3.

    A standardised value far out, such as a pixel that is almost never lit, would otherwise
    decide a prediction alone (Holzmueller et al., 2024, "Better by default").
    """
    x = np.clip(x, -SQUASH_LIMIT, SQUASH_LIMIT)
    return x / np.sqrt(1 + np.square(x / SQUASH_BOUND))
