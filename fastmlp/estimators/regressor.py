"""MLPRegressor: numbers, quantiles and counts."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if

from ..engines.devices import host_array
from ._sklearn import Interval, StrOptions
from .base import BaseMLP, solver_has_partial_fit
from .parameters import with_shared_docs
from .targets import RegressionTargets, quantile_score


@with_shared_docs
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron for regression, trained in compiled kernels.

    A drop-in for :class:`sklearn.neural_network.MLPRegressor`: the same parameters, and with
    the same ``random_state`` and float64 input the same weights.

    Parameters
    ----------
    loss : str or pair of functions, default='squared_error'
        'squared_error' is half the squared error; 'poisson' half the Poisson deviance with
        predictions ``exp(z)``; 'absolute_error' makes predictions medians; 'huber' is squared up
        to an error of `huber_delta` and linear beyond; 'quantile' makes predictions
        `quantiles`. A pair ``(value, derivative)`` of scalar functions of target and prediction,
        such as ``(lambda y, p: abs(p - y), lambda y, p: np.sign(p - y))``, is compiled by numba;
        they may use ``math`` and numpy's functions of numbers.
    <shared parameters>
    huber_delta : float, default=1.0
        Where the Huber loss turns from squared to linear (Huber, 1964).
    quantiles : float or sequence of float, default=0.5
        Levels of ``loss='quantile'``, in (0, 1). With several, predictions have a column for
        each, in increasing order, for y of one column.

    Attributes
    ----------
    <shared attributes>

    Notes
    -----
    Arithmetic is in float32 when X is float32, else in float64. With several outputs the
    reported squared error is their mean, while training descends their sum, as in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastmlp import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> MLPRegressor(random_state=0, max_iter=2000, tol=0.1).fit(X, y).score(X, y) > 0.9
    True
    """

    __module__ = "fastmlp"  # where users and model files find it

    _parameter_constraints: dict = {  # noqa: RUF012
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
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        n_jobs=None,
        device="cpu",
        init="sklearn",
        momentum_form="accumulate",
        rmsprop_decay=0.9,
        weight_decay=None,
        l1=0.0,
        max_norm=None,
        dropout=0.0,
        clip_value=None,
        clip_norm=None,
        lr_schedule=None,
        scoring=None,
        swa_start=None,
        monitor=False,
        diagnose=True,
        huber_delta=1.0,
        quantiles=0.5,
    ):
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

    def fit(self, X, y, sample_weight=None, *, eval_set=None, callback=None):
        """Train on X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            float32 is kept; everything else becomes float64. Sparse matrices stay sparse. With
            `device` 'cuda' or 'auto' also an array on the GPU, of float32 or float64, with
            ``__cuda_array_interface__``, which is used there; other arguments on the GPU are
            copied to the host.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values; counts or other values that are not negative for the Poisson loss.
        sample_weight : array-like of shape (n_samples,), optional
            Weight of each row in the loss and in the validation score.
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that are not trained on: ``history_`` gets their loss and score after each epoch.
            With ``early_stopping=True`` they decide when to stop, and no rows are held out.
        callback : callable, optional
            Called after each epoch with a :class:`fastmlp.training.history.Epoch`; training stops
            when it returns True.

        Returns
        -------
        self : MLPRegressor

        Raises
        ------
        ValueError
            For parameters or data that cannot be used.
        fastmlp.DivergenceError
            When training diverged; the last finite weights are kept.
        """
        return self._fit(X, y, sample_weight, eval_set, callback)

    @available_if(solver_has_partial_fit)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on X and y, starting from the current weights.

        Solver, learning rate and schedule are those of the first call; the other options are
        those that are set now.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        self : MLPRegressor
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X):
        """Predicted values.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Also an array on the GPU, as for :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        if len(self._fitted_quantiles()) > 1:
            outputs.sort(axis=1)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def score(self, X, y, sample_weight=None):
        """R^2 of the predictions; for several quantiles the mean of their D^2 pinball scores.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Each also on the GPU, as for :meth:`fit`.

        Returns
        -------
        float
            1 is perfect; 0 is what a constant reaches: the mean, or the quantile of y.
        """
        y, sample_weight = host_array(y), host_array(sample_weight)
        levels = self._fitted_quantiles()
        if len(levels) < 2:
            return super().score(X, y, sample_weight)
        return quantile_score(np.ravel(y), self.predict(X), levels, sample_weight)

    def _fitted_quantiles(self):
        """Levels of the quantiles that were fitted; () for other losses.

        Models that came from scikit-learn have none.
        """
        return getattr(self, "_quantile_levels", ())

    def _targets(self):
        return RegressionTargets(self.loss, self.huber_delta, self.quantiles)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
