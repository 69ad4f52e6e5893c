"""MLPRegressor, the multilayer perceptron for regression."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from ..engines.devices import host_array
from ..schedules import Schedule
from ..training.callbacks import Callback
from ..training.checkpoint import CheckpointPath
from ._sklearn import Interval, StrOptions, validate_parameters
from .base import BaseMLP, available_if_has_partial_fit
from .by_hand import set_network
from .parameters import with_shared_docs
from .regression_targets import RegressionTargets, quantile_score
from .transaction import whole


@with_shared_docs
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron for regression, trained in compiled kernels.

    It can replace :class:`sklearn.neural_network.MLPRegressor`: it has the same parameters and
    more, and with the same ``random_state`` and float64 input it learns the same weights.

    Parameters
    ----------
    loss : str or pair of functions, default='squared_error'
        'squared_error' is half the squared error. 'poisson' is half the Poisson deviance, for
        predictions ``exp(z)``. With 'absolute_error' predictions are medians. 'huber' is quadratic
        up to an error of `huber_delta`, and linear beyond. With 'quantile' predictions are
        `quantiles`. A custom loss is a pair ``(value, derivative)`` of functions of the target
        and the prediction, both numbers, such as
        ``(lambda y, p: abs(p - y), lambda y, p: np.sign(p - y))``. They are compiled by numba, and
        may use ``math`` and numpy's functions of numbers. An exception that one raises ends
        training as a :class:`fastmlp.exceptions.CustomLossError`, a ValueError.
    <scikit-learn's parameters>
    <further parameters>
    huber_delta : float, default=1.0
        The error at which the Huber loss turns from quadratic to linear (Huber, 1964).
    quantiles : float or sequence of float, default=0.5
        Levels of ``loss='quantile'``, in (0, 1) and in increasing order. With several levels y
        has one column, and predictions have one for each level.

    Attributes
    ----------
    <shared attributes>

    Notes
    -----
    Arithmetic is in float32 if X is float32, else in float64. With several outputs the reported
    loss is the mean of their squared errors, while training minimises the sum, as in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> MLPRegressor(random_state=0, max_iter=2000, tol=0.1).fit(X, y).score(X, y) > 0.9
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [
            StrOptions({"squared_error", "poisson", "absolute_error", "huber", "quantile"}),
            tuple,
            list,
        ],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
        "quantiles": [Interval(Real, 0, 1, closed="neither"), list, tuple, np.ndarray],
    }

    def __init__(
        self,
        loss: str | Sequence[Callable[..., Any]] = "squared_error",
        hidden_layer_sizes: int | Sequence[int] | np.ndarray = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_jobs: int | None = None,
        device: str = "cpu",
        init: str = "sklearn",
        momentum_form: str = "accumulate",
        rmsprop_decay: float = 0.9,
        weight_decay: float | None = None,
        l1: float = 0.0,
        max_norm: float | None = None,
        dropout: float | Sequence[float] | np.ndarray = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        lr_schedule: str | Schedule | None = None,
        scoring: str | Callable[..., Any] | None = None,
        swa_start: int | None = None,
        monitor: bool = False,
        diagnose: bool = True,
        huber_delta: float = 1.0,
        quantiles: float | Sequence[float] | np.ndarray = 0.5,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_jobs = n_jobs
        self.device = device
        self.init = init
        self.momentum_form = momentum_form
        self.rmsprop_decay = rmsprop_decay
        self.weight_decay = weight_decay
        self.l1 = l1
        self.max_norm = max_norm
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.lr_schedule = lr_schedule
        self.scoring = scoring
        self.swa_start = swa_start
        self.monitor = monitor
        self.diagnose = diagnose
        self.huber_delta = huber_delta
        self.quantiles = quantiles

    @classmethod
    def from_weights(
        cls,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activation: str | Sequence[str] = "relu",
        **parameters: Any,
    ) -> Self:
        """Make a regressor of weights that are given, so that it predicts without training.

        Its units compute ``f(z)`` of ``z = h @ coefs[l] + intercepts[l]``. The `loss` decides the
        output, which is z itself but for the Poisson loss. It can be trained further, but for the
        activation 'step'.

        Parameters
        ----------
        coefs : sequence of array-like of shape (fan_in, fan_out)
            The weight matrix of each layer, copied.
        intercepts : sequence of array-like of shape (fan_out,)
            The biases of each layer.
        activation : str or sequence of str, default='relu'
            That of all hidden layers, or one for each. Of 'step' a unit is a threshold unit: 1
            where z is above 0, else 0.
        **parameters
            Further parameters of the regressor.

        Returns
        -------
        MLPRegressor

        Raises
        ------
        ValueError
            When the weights do not fit each other, or the quantiles, or are not finite; or when a
            parameter has a value that it may not have.

        Examples
        --------
        The absolute value is relu(x) + relu(-x):

        >>> from fastmlp import MLPRegressor
        >>> model = MLPRegressor.from_weights([[[1, -1]], [[1], [1]]], [[0, 0], [0]])
        >>> model.predict([[-2], [3]])
        array([2., 3.])
        """
        model = cls(hidden_layer_sizes=(), activation=activation, **parameters)

        def numbers(n_outputs: int) -> np.ndarray:
            several = len(model._targets().quantile_levels) > 1
            return np.ones((1, 1 if several else n_outputs))

        set_network(model, coefs, intercepts, numbers)
        return model

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Sequence[Any] | None = None,
        callback: Callback | None = None,
        checkpoint: CheckpointPath = None,
    ) -> Self:
        """Train on X and y.

        Parameters
        ----------
        <X of fit>
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values; counts or other values that are not negative for the Poisson loss.
        <other parameters of fit>

        Returns
        -------
        self : MLPRegressor

        <errors of fit>
        """
        return self._fit(X, y, sample_weight, eval_set, callback, checkpoint)

    @available_if_has_partial_fit
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on X and y, starting from the current weights.

        The solver, the learning rate and its schedule stay as they were in the first call; all
        other parameters may change from call to call.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As for :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), optional
            As for :meth:`fit`.

        Returns
        -------
        self : MLPRegressor
        """
        validate_parameters(self)
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predict values, or quantiles.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`; it may lie on the GPU.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            With several quantiles a column for each, in increasing order.
        """
        self._check_fitted()
        model = whole(self)  # its quantiles are those of its outputs
        outputs = self._outputs(X, model)
        if len(model._fitted_quantiles()) > 1:
            outputs.sort(axis=1)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute R^2, or for several quantiles the mean of their D^2 pinball scores.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            As for :meth:`fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As for :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), optional
            As for :meth:`fit`.

        Returns
        -------
        float
            1 is perfect; 0 is the score of a constant prediction, the mean or the quantile of y.
        """
        y, sample_weight = host_array(y), host_array(sample_weight)
        levels = self._fitted_quantiles()
        if len(levels) < 2:
            return super().score(X, y, sample_weight)
        return quantile_score(np.ravel(y), self.predict(X), levels, sample_weight)

    def _fitted_quantiles(self) -> tuple[float, ...]:
        """Return the levels of the fitted quantiles, or () where the loss is another one."""
        # A model that was converted from scikit-learn lacks the attribute.
        return getattr(self, "_quantile_levels", ())

    def _targets(self) -> RegressionTargets:
        return RegressionTargets(self.loss, self.huber_delta, self.quantiles)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
