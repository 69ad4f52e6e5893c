"""TabularClassifier: a network that predicts the class of each row of a table."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..estimators._sklearn import Interval, StrOptions
from ..estimators.classifier import MLPClassifier
from ..estimators.transaction import whole
from ..schedules import Schedule
from ..training.checkpoint import CheckpointPath
from .base import BaseTabular, constraints_of, with_shared_docs
from .call import Callback
from .frames import read_target
from .pack.preparation import is_one_network
from .pack.problem import OutOfFold
from .targets import class_labels, labels_like
from .thresholds import check_threshold, choose_threshold


@with_shared_docs
class TabularClassifier(ClassifierMixin, BaseTabular):
    """Multilayer perceptrons that predict a class for each row of a table of numbers and text.

    A :class:`fastmlp.TabularPreprocessor` prepares the columns. Where no parameter of a network is
    set, a pack of networks of several kinds is trained on them, each on other rows, and weighed by
    how well they predict rows that they have not seen; see `effort`. Otherwise the parameters
    describe one :class:`fastmlp.MLPClassifier`, and have the same names and meanings as there;
    some have other defaults, which suit tables. All is in float32. Ctrl-C ends training early and
    keeps what was learned.

    Parameters
    ----------
    <shared parameters>
    class_weight : dict, 'balanced' or None, default=None
        Weight of each class in the loss and in the score of early stopping; with 'balanced' all
        classes count the same, however many rows they have.
    loss : {'log_loss', 'margin'}, default='log_loss'
        'log_loss' is the cross-entropy, 'margin' the margin loss of :class:`fastmlp.MLPClassifier`.
    label_smoothing : float, default=0.0
        Share of each target's probability that 'log_loss' spreads over all classes.
    rho : float, default=1.0
        The margin from which on the margin loss is zero, in [1e-6, 1].
    <parameters of packs>
    threshold : float, 'f1', dict or None, default=None
        For two classes, the probability above which ``predict`` says the second one; None is one
        half. 'f1' chooses it for the highest F1 score of the second class. A dict such as
        ``{'no': 1, 'yes': 10}`` chooses it for the lowest cost, where each number is the cost of a
        row of this class that is predicted wrongly. Both choose by rows that the members of a pack
        have not seen. Probabilities do not change.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels that were seen in ``fit``; text and dates are strings.
    threshold_ : float
        The threshold that ``predict`` uses. Defined only where `threshold` is set.
    <shared attributes>

    See Also
    --------
    fastmlp.train_table : Chooses the target, trains, and measures on held-out rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularClassifier
    >>> frame = pd.DataFrame({"size": [1, 2, 3, 4] * 20, "shape": ["round", None] * 40})
    >>> y = (frame["size"] > 2).rename("is large")
    >>> TabularClassifier().fit(frame, y).score(frame, y)
    1.0
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints = {  # noqa: RUF012
        **constraints_of(MLPClassifier),
        "threshold": [None, Interval(Real, 0, 1, closed="neither"), StrOptions({"f1"}), dict],
    }
    _network_class = MLPClassifier
    _task = "classification"

    def __init__(
        self,
        hidden_layer_sizes: int | str | Sequence[int] | NDArray[Any] = "auto",
        activation: str | Sequence[str] = "auto",
        *,
        alpha: float | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_init: float | str = "auto",
        max_iter: int | str = "auto",
        random_state: int | np.random.RandomState | None = 0,
        early_stopping: bool | str = "auto",
        n_iter_no_change: float | str = "auto",
        n_jobs: int | None = None,
        device: str = "cpu",
        solver: str = "auto",
        learning_rate: str = "constant",
        lr_schedule: str | Schedule | None = None,
        power_t: float = 0.5,
        shuffle: bool = True,
        tol: float | str = "auto",
        max_fun: int = 15000,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        momentum_form: str = "accumulate",
        beta_1: float = 0.9,
        beta_2: float | str = "auto",
        epsilon: float = 1e-8,
        rmsprop_decay: float = 0.9,
        weight_decay: float | None = None,
        l1: float = 0.0,
        max_norm: float | None = None,
        dropout: float | str | Sequence[float] | NDArray[Any] = "auto",
        clip_value: float | None = None,
        clip_norm: float | None = None,
        validation_fraction: float | str = "auto",
        scoring: str | Callable[..., Any] | None = None,
        swa_start: int | None = None,
        init: str = "sklearn",
        monitor: bool = False,
        diagnose: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        loss: str = "log_loss",
        label_smoothing: float = 0.0,
        rho: float = 1.0,
        effort: str = "default",
        members: int | str = "auto",
        time_limit: float | None = None,
        threshold: float | str | Mapping[Any, float] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        self.device = device
        self.solver = solver
        self.learning_rate = learning_rate
        self.lr_schedule = lr_schedule
        self.power_t = power_t
        self.shuffle = shuffle
        self.tol = tol
        self.max_fun = max_fun
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.momentum_form = momentum_form
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.rmsprop_decay = rmsprop_decay
        self.weight_decay = weight_decay
        self.l1 = l1
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.swa_start = swa_start
        self.init = init
        self.monitor = monitor
        self.diagnose = diagnose
        self.class_weight = class_weight
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.rho = rho
        self.effort = effort
        self.members = members
        self.time_limit = time_limit
        self.threshold = threshold

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        callback: Callback | None = None,
        checkpoint: CheckpointPath = None,
    ) -> Self:
        """Prepare the columns and train a network on them.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both. Missing values
            are allowed.
        y : array-like of shape (n_rows,)
            Class labels; none of them may be missing.
        <arguments of fit>

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        DataError
            When the table or the labels cannot be learned from. After any error the estimator is
            as it was before.
        ValueError
            When a parameter cannot be used.
        fastmlp.DivergenceError
            When training diverged.

        Warns
        -----
        DataWarning
            For what the owner of the table should look at, such as text that is read as numbers.
        """
        return self._fit(X, y, sample_weight, callback, checkpoint)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class label of each row.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame must have the columns that were seen in ``fit``, in any order; further
            columns are ignored. A table without rows has no predictions. A few rows are predicted
            fastest as a list of dicts, each of which has the value of every column by its name.

        Returns
        -------
        ndarray of shape (n_rows,)

        Raises
        ------
        DataError
            When columns are missing, hold text instead of numbers, or have infinite values.

        Warns
        -----
        DataWarning
            When a text column has hardly a level that was seen in ``fit``.
        """
        model = whole(self)
        inputs = model._inputs(X)
        if not len(inputs):
            return model.classes_[:0]
        threshold = getattr(model, "threshold_", None)
        if threshold is None:
            return model.estimator_.predict(inputs)
        is_second = model.estimator_.predict_proba(inputs)[:, 1] > threshold
        return model.classes_[is_second.astype(int)]

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Predict the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        model = whole(self)
        inputs = model._inputs(X)
        if not len(inputs):
            return np.empty((0, len(model.classes_)), dtype=np.float32)
        return model.estimator_.predict_proba(inputs)

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Predict the logarithm of the probability of each class.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
        """
        model = whole(self)
        inputs = model._inputs(X)
        if not len(inputs):
            return np.empty((0, len(model.classes_)), dtype=np.float32)
        with np.errstate(divide="ignore"):
            return np.log(model.estimator_.predict_proba(inputs))

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of rows whose class is predicted correctly.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.
        y : array-like of shape (n_rows,)
            The true class labels.
        sample_weight : array-like of shape (n_rows,), optional
            The weight of each row in the share; by default all are equal.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        labels = labels_like(self.classes_, read_target(self, y))
        return super().score(X, labels, sample_weight)

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels that were seen in ``fit``, an array of shape (n_classes,)."""
        return self.estimator_.classes_

    def _target(self, y: pd.Series, form: str = "") -> NDArray[Any]:
        # scikit-learn's own words are part of the message, since its tests look for them.
        return class_labels(y, "TabularRegressor takes them (Unknown label type: continuous)")

    def _encode(self, values: NDArray[Any]) -> NDArray[Any]:
        return values

    def _check_learnable(self, values: NDArray[Any], called: str) -> None:
        super()._check_learnable(values, called)
        if self.threshold is None:
            return
        check_threshold(self.threshold, np.unique(values), not is_one_network(self), called)
        if isinstance(self.threshold, Real):
            self.threshold_ = float(self.threshold)

    def _see_unseen(
        self, unseen: OutOfFold, values: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> None:
        if self.threshold is None:
            return
        self.threshold_ = choose_threshold(
            self.threshold,
            self.classes_,
            values[unseen.rows] == self.classes_[1],
            unseen.predicted[:, 1],
            None if weight is None else weight[unseen.rows],
        )

    def _can_hold_out(self, values: NDArray[Any]) -> bool:
        # The split is stratified if there are two classes, and then needs two rows of each.
        counts = np.unique(values, return_counts=True)[1]
        return len(counts) > 2 or bool(counts.min() >= 2)
