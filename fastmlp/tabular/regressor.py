"""TabularRegressor: a network that predicts a number for each row of a table."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..estimators.regression_targets import quantile_score
from ..estimators.regressor import MLPRegressor
from ..estimators.transaction import whole
from ..schedules import Schedule
from ..training.checkpoint import CheckpointPath
from .base import BaseTabular, constraints_of, with_shared_docs
from .call import Callback
from .frames import read_target, read_targets
from .pack.problem import OutOfFold
from .quantiles import conformal_offsets, fitted_levels, quantile_levels
from .several import models_of, predict_several, true_numbers
from .targets import numeric_target


@with_shared_docs
class TabularRegressor(RegressorMixin, BaseTabular):
    """Multilayer perceptrons that predict numbers for each row of a table of numbers and text.

    A :class:`fastmlp.TabularPreprocessor` prepares the columns. Where no parameter of a network is
    set, a pack of networks of several kinds is trained on them, each on other rows, and weighed by
    how well they predict rows that they have not seen; see `effort`. Its predictions lie within
    the range of the target. Otherwise the parameters describe one :class:`fastmlp.MLPRegressor`,
    and have the same names and meanings as there; some have other defaults, which suit tables. All
    is in float32, with a standardised target. Ctrl-C ends training early and keeps what was
    learned.

    Several targets have a complete model each, the same as without the other targets. They share
    the limit of time. Where Ctrl-C or a callback ends the training, the targets that follow get
    the least that can be trained.

    Parameters
    ----------
    <shared parameters>
    loss : str or pair of functions, default='squared_error'
        Loss as for :class:`fastmlp.MLPRegressor`, computed on the standardised target. With
        'poisson' the target is scaled but not shifted.
    huber_delta : float, default=1.0
        Error at which the Huber loss turns from squared to linear, in standard deviations of
        the target.
    quantiles : float or sequence of float, default=0.5
        Levels of the quantiles that ``loss='quantile'`` predicts, in increasing order. A pack
        corrects them by rows that its networks have not seen, so that a share of about each level
        lies below its quantile (conformal prediction).
    <parameters of packs>

    Attributes
    ----------
    target_mean_ : float
        The mean of the target, which is subtracted before training; 0 with 'poisson'.
    target_scale_ : float
        The standard deviation of the target, by which it is divided before training.
    quantile_offsets_ : ndarray of shape (n_levels,)
        What is added to each quantile, in units of the target. Defined only for quantiles of a
        pack.
    models_ : list of TabularRegressor
        The model of each of several targets. These have what is learned from a target, such as
        ``estimator_`` and ``preprocessor_``, which the whole has not. Defined only for several.
    <shared attributes>

    See Also
    --------
    fastmlp.train_table : Chooses the target, trains, and measures on held-out rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularRegressor
    >>> frame = pd.read_csv("tests/data/concrete.csv")
    >>> X, y = frame.drop(columns="target"), frame["target"]
    >>> TabularRegressor(members=3).fit(X, y).score(X, y) > 0.8
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints = constraints_of(MLPRegressor)
    _network_class = MLPRegressor
    _task = "regression"

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
        loss: str | Sequence[Callable[..., Any]] = "squared_error",
        huber_delta: float = 1.0,
        quantiles: float | Sequence[float] | NDArray[Any] = 0.5,
        effort: str = "default",
        members: int | str = "auto",
        time_limit: float | None = None,
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
        self.loss = loss
        self.huber_delta = huber_delta
        self.quantiles = quantiles
        self.effort = effort
        self.members = members
        self.time_limit = time_limit

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
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
            The numbers to predict; none of them may be missing. Several targets are a frame or an
            array of two dimensions; a callback then sees the estimator as it was before the fit.
        <arguments of fit>

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        DataError
            When the table or the numbers cannot be learned from. After any error the estimator is
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

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict a number for each row.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame must have the columns that were seen in ``fit``, in any order; further
            columns are ignored. A table without rows has no predictions. A few rows are predicted
            fastest as a list of dicts, each of which has the value of every column by its name.

        Returns
        -------
        ndarray of shape (n_rows,), (n_rows, n_targets) or (n_rows, n_levels), float64
            A column for each of several targets, or of several `quantiles` in increasing order.

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
        check_is_fitted(model)
        if len(models_of(model)) > 1:
            return predict_several(model, X)
        inputs = model._inputs(X)
        n_levels = len(fitted_levels(model))
        if not len(inputs):
            return np.empty((0, n_levels) if n_levels > 1 else 0)
        return model._predictions(model.estimator_.predict(inputs))

    def _predictions(self, standardised: NDArray[Any]) -> NDArray[np.float64]:
        """Return predictions in units of the target, with quantiles that cover what they should."""
        predicted = self._in_units(standardised)
        # Offsets, and means over networks, may bring quantiles out of order.
        return np.sort(predicted, axis=1) if predicted.ndim == 2 else predicted

    def _in_units(self, standardised: NDArray[Any]) -> NDArray[np.float64]:
        """Return predictions in units of the target, before quantiles are put in order."""
        predicted = standardised.astype(np.float64) * self.target_scale_ + self.target_mean_
        offsets = getattr(self, "quantile_offsets_", None)
        if offsets is not None:
            predicted = predicted + (offsets if predicted.ndim == 2 else offsets[0])
        return predicted

    def _see_unseen(
        self, unseen: OutOfFold, values: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> None:
        if not (levels := quantile_levels(self)):
            return
        rows = unseen.rows
        # As they are when the offsets are added, which is before quantiles are put in order.
        predicted = unseen.predicted * self.target_scale_ + self.target_mean_
        self.quantile_offsets_ = conformal_offsets(
            values[rows], predicted, levels, None if weight is None else weight[rows]
        )

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination, R^2, or for quantiles their mean D^2.

        D^2 is the share by which the pinball loss is below that of constant quantiles. Several
        targets have the mean of their R^2.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            As for :meth:`predict`.
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
            The true numbers.
        sample_weight : array-like of shape (n_rows,), optional
            The weight of each row; by default all are equal.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        if len(models_of(self)) > 1:
            return super().score(X, true_numbers(self, y), sample_weight)
        form = getattr(self, "target_format_", "")  # a model of an older version has none
        values = self._target(read_target(self, y), form)
        if len(levels := fitted_levels(self)) > 1:
            weight = None if sample_weight is None else np.asarray(sample_weight)
            return quantile_score(values, self.predict(X), levels, weight)
        return super().score(X, values, sample_weight)

    def _read_targets(self, y: Any) -> list[pd.Series]:
        return read_targets(self, y)

    def _check_learnable(self, values: NDArray[Any], called: str) -> None:
        super()._check_learnable(values, called)
        if not quantile_levels(self) and not np.array_equal(self.quantiles, 0.5):
            raise ValueError(
                f"quantiles={self.quantiles!r} are predicted with loss='quantile' alone, and loss "
                f"is {self.loss!r}"
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = not (isinstance(self.loss, str) and self.loss == "quantile")
        return tags

    def _target(self, y: pd.Series, form: str = "") -> NDArray[np.float64]:
        return numeric_target(y, "TabularClassifier takes text", form)

    def _encode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        is_count = isinstance(self.loss, str) and self.loss == "poisson"
        self.target_mean_ = 0.0 if is_count else float(np.mean(values))
        self.target_scale_ = float(np.std(values)) or 1.0
        return ((values - self.target_mean_) / self.target_scale_).astype(np.float32)
