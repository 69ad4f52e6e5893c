"""MLPRegressor: numbers, quantiles and counts."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if

from ..engines.devices import host_array
from ..network.plan import Loss
from . import targets
from .base import BaseMLP, solver_has_partial_fit, validated
from .parameters import with_shared_docs


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
            Called after each epoch with a :class:`fastmlp.training.loop.Epoch`; training stops when
            it returns True.

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
        if self._quantile_levels().size > 1:
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
        if self._quantile_levels().size < 2:
            return super().score(X, y, sample_weight)
        return self._quantile_score(np.ravel(y), self.predict(X), sample_weight)

    def _quantile_score(self, y, predictions, sample_weight):
        levels = self._quantile_levels()
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for level, column in zip(levels, predictions.T, strict=True)
        ]
        return float(np.mean(scores))

    def _quantile_levels(self):
        """Levels of the quantile loss; empty for others."""
        return np.atleast_1d(self.quantiles) if self.loss == "quantile" else np.empty(0)

    def _loss(self):
        return Loss.CUSTOM if self._custom_loss() else Loss[self.loss.upper()]

    def _custom_loss(self):
        if isinstance(self.loss, str):
            return None
        if len(self.loss) != 2 or not all(map(callable, self.loss)):
            sizes = all(isinstance(part, Real) for part in self.loss)
            hint = "; did you mean hidden_layer_sizes=?" if sizes else ""
            raise ValueError(
                "a custom loss is a pair of functions (value, derivative) of target and "
                f"prediction, got {self.loss!r}{hint}"
            )
        return tuple(self.loss)

    def _loss_parameters(self, n_outputs):
        if self.loss == "huber":
            return (float(self.huber_delta),) * n_outputs
        if self.loss != "quantile":
            return ()
        levels = self._quantile_levels()
        if not (
            levels.size
            and levels.ndim == 1
            and levels.dtype.kind == "f"
            and ((levels > 0) & (levels < 1)).all()
            and (np.diff(levels) > 0).all()
        ):
            raise ValueError(
                f"quantiles must be numbers in (0, 1), in increasing order, got {self.quantiles!r}"
            )
        return tuple(map(float, levels)) if levels.size > 1 else (float(levels[0]),) * n_outputs

    def _encode(self, X, y, first_pass, incremental):
        X, y = validated(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
            dtype=[np.float64, np.float32],
            reset=first_pass,
        )
        y = targets.flatten_column(y)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                "Some value(s) of y are negative, which is not possible for loss='poisson'; "
                "use loss='squared_error'"
            )
        Y = y.reshape(len(y), -1)
        if (n_levels := self._quantile_levels().size) > 1:
            if Y.shape[1] > 1:
                raise ValueError(
                    f"several quantiles are for y of one column, got {Y.shape[1]}; fit a model "
                    "for each"
                )
            Y = np.repeat(Y, n_levels, axis=1)
        return X, Y, y

    def _stratify(self):
        return False

    def _score_outputs(self, Y, outputs, sample_weight):
        if self._quantile_levels().size > 1:
            return self._quantile_score(Y[:, 0], np.sort(outputs, axis=1), sample_weight)
        return r2_score(Y, outputs, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
