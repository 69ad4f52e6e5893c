"""TabularRegressor: a network that predicts a number for each row of a table."""

import numpy as np
from sklearn.base import RegressorMixin

from ..estimators.regressor import MLPRegressor
from .base import BaseTabular, constraints_of, with_shared_docs
from .columns import numeric_target


@with_shared_docs
class TabularRegressor(RegressorMixin, BaseTabular):
    """Multilayer perceptron for a number in each row of a table with numbers and text.

    A :class:`fastmlp.TabularPreprocessor` prepares the columns, a
    :class:`fastmlp.MLPRegressor` learns from them, in float32, with a standardised target.
    Parameters have the names and meanings of the latter, some with defaults for tables. Ctrl-C
    ends training early and keeps what was learned.

    Parameters
    ----------
    <shared parameters>
    loss : str or pair of functions, default='squared_error'
        As for :class:`fastmlp.MLPRegressor`, of the standardised target. With 'poisson' the
        target is scaled but not shifted.
    huber_delta : float, default=1.0
        Where the Huber loss turns from squared to linear, in standard deviations of the target.
    quantiles : float, default=0.5
        Level of ``loss='quantile'``. A model of a table predicts one.

    Attributes
    ----------
    target_mean_ : float
        Subtracted from the target before training.
    target_scale_ : float
        What the target is divided by then: its standard deviation.
    <shared attributes>

    See Also
    --------
    fastmlp.tabular.train.train_table : Also chooses the target and measures on held-out rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp import TabularRegressor
    >>> frame = pd.read_csv("tests/data/concrete.csv")
    >>> X, y = frame.drop(columns="target"), frame["target"]
    >>> TabularRegressor().fit(X, y).score(X, y) > 0.8
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict = constraints_of(MLPRegressor)
    _network_class = MLPRegressor
    _task = "regression"

    def __init__(
        self,
        hidden_layer_sizes=(128, 64),
        activation="relu",
        *,
        alpha=0.0001,
        batch_size="auto",
        learning_rate_init=0.001,
        max_iter=200,
        random_state=0,
        early_stopping="auto",
        n_iter_no_change=12,
        n_jobs=None,
        device="cpu",
        solver="adam",
        learning_rate="constant",
        lr_schedule=None,
        power_t=0.5,
        shuffle=True,
        tol=1e-4,
        max_fun=15000,
        momentum=0.9,
        nesterovs_momentum=True,
        momentum_form="accumulate",
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        rmsprop_decay=0.9,
        weight_decay=None,
        l1=0.0,
        max_norm=None,
        dropout=0.0,
        clip_value=None,
        clip_norm=None,
        validation_fraction=0.1,
        scoring=None,
        swa_start=None,
        init="sklearn",
        monitor=False,
        diagnose=True,
        loss="squared_error",
        huber_delta=1.0,
        quantiles=0.5,
    ):
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

    def fit(self, X, y, *, callback=None):
        """Prepare the columns and train.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame of pandas or polars, or an array of numbers, text or both. Missing values
            are allowed.
        y : array-like of shape (n_rows,)
            Numbers, none of them missing.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.history.Epoch`; training stops
            when it returns True.

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        DataError
            When the table or the numbers cannot be learned from. After this and any other error
            the estimator is what it was before.
        ValueError
            For parameters that cannot be used.
        fastmlp.DivergenceError
            When training diverged.
        """
        return self._fit(X, y, callback)

    def predict(self, X):
        """Predicted numbers.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            A frame has the columns of ``fit``, in any order; others are ignored.

        Returns
        -------
        ndarray of shape (n_rows,), float64

        Raises
        ------
        DataError
            When columns are missing, hold text instead of numbers, or are infinite somewhere.
        """
        inputs = self._inputs(X)
        predicted = self.estimator_.predict(inputs)
        return predicted.astype(np.float64) * self.target_scale_ + self.target_mean_

    def _target(self, y):
        if np.size(self.quantiles) > 1:
            raise ValueError("a model of a table predicts one quantile; fit a model for each")
        return numeric_target(y, "TabularClassifier takes text")

    def _encode(self, values):
        is_count = isinstance(self.loss, str) and self.loss == "poisson"
        self.target_mean_ = 0.0 if is_count else float(np.mean(values))
        self.target_scale_ = float(np.std(values)) or 1.0
        return ((values - self.target_mean_) / self.target_scale_).astype(np.float32)
