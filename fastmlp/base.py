"""What MLPClassifier and MLPRegressor share: from parameters to a plan, and through a fit."""

import warnings
from dataclasses import replace
from functools import partial
from inspect import signature
from numbers import Integral, Real

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_is_fitted,
    validate_data,
)

from . import __version__, lbfgs, parameters
from .callbacks import Listener, listening
from .devices import backend, device_matrix, host_array, is_on_gpu
from .errors import DeviceError
from .plan import Activation, Loss, Optimizer, TrainingPlan
from .schedules import schedule_for
from .training import History, OptimizerState, StoppingRule, train

_OUTPUT_ACTIVATIONS = {
    Loss.SQUARED_ERROR: "identity",
    Loss.POISSON: "exp",
    Loss.CROSS_ENTROPY: "softmax",
    Loss.BINARY_CROSS_ENTROPY: "logistic",
}


_LOSSES = {activation: loss for loss, activation in _OUTPUT_ACTIVATIONS.items()}


def validated(estimator, X, y="no_validation", **options):
    """What scikit-learn's ``validate_data`` returns; an X on a GPU is checked and left there."""
    y = host_array(y)
    if not is_on_gpu(X):
        return validate_data(estimator, X, y, **options)
    X = device_matrix(estimator.device, X, get_config()["assume_finite"])
    validate_data(estimator, X, reset=options["reset"], skip_check_array=True)
    if isinstance(y, str):
        return X
    checks = {name: options[name] for name in ("multi_output", "y_numeric") if name in options}
    y = _check_y(y, estimator=estimator, **checks)
    check_consistent_length(X, y)
    return X, y


def solver_has_partial_fit(estimator):
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers: solver='sgd' or 'adam', "
            "not 'lbfgs'"
        )
    return True


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """What the classifier and the regressor share.

    A subclass has ``_loss()``, ``_encode(X, y, first_pass, incremental)`` (the
    validated X, the matrix that is trained on, and the validated y), ``_score_outputs``
    and ``_stratify``; it may weigh rows in ``_weigh``.
    """

    # scikit-learn's metadata routing is about data; a callback is none.
    __metadata_request__fit = {"callback": UNUSED}  # noqa: RUF012

    _parameter_constraints: dict = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "device": [StrOptions({"cpu", "cuda", "auto"})],
        "n_jobs": [
            None,
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
    }

    # ---- from parameters to a plan -------------------------------------------------------

    def _hidden_units(self):
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        for size in sizes:
            if not isinstance(size, Integral):
                raise TypeError(f"hidden_layer_sizes must be integers, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(size) for size in sizes]

    def _plan(self, layer_units, dtype, batch_size=1, optimizer=Optimizer.GRADIENT, **constants):
        return TrainingPlan(
            layer_units=tuple(layer_units),
            activation=Activation[self.activation.upper()],
            loss=self._loss(),
            optimizer=Optimizer(optimizer),
            alpha=float(self.alpha),
            batch_size=batch_size,
            dtype=np.dtype(dtype),
            **constants,
        )

    def _fitted_plan(self):
        """The plan of the fitted network; its loss is one with the output activation of the fit."""
        units = [self.coefs_[0].shape[0], *(w.shape[1] for w in self.coefs_)]
        plan = self._plan(units, self.coefs_[0].dtype)
        return replace(plan, loss=_LOSSES[self.out_activation_])

    def _new_optimizer(self):
        if self.solver == "adam":
            code, kind = Optimizer.ADAM, "constant"
        else:
            code = Optimizer.NESTEROV if self.nesterovs_momentum else Optimizer.SGD
            kind = self.learning_rate
        names = ("momentum", "beta_1", "beta_2", "epsilon")
        constants = {name: float(getattr(self, name)) for name in names}
        schedule = schedule_for(kind, self.learning_rate_init, self.power_t)
        return OptimizerState(schedule, {"optimizer": int(code), **constants})

    def _objective(self, X, y, sample_weight):
        """What ``check_gradient`` needs: plan, parameters and data in float64."""
        self._validate_params()
        est = self
        if not hasattr(self, "coefs_"):
            est = type(self)(**self.get_params(deep=False))
        X, Y, y = est._encode(X, y, first_pass=est is not self, incremental=False)
        X, Y = X.astype(np.float64), Y.astype(np.float64)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        sample_weight = est._weigh(y, sample_weight, incremental=False)
        if est is self:
            plan = self._fitted_plan()
            theta = parameters.flatten(self.coefs_, self.intercepts_, np.float64)
        else:
            plan = est._plan([X.shape[1], *est._hidden_units(), Y.shape[1]], np.float64)
            rng = check_random_state(self.random_state)
            theta = parameters.initialise(plan.layer_units, plan.activation, rng, np.float64)
        plan = est._plan(plan.layer_units, np.float64)
        return plan, theta, X, Y, sample_weight

    # ---- fitting -------------------------------------------------------------------------

    @with_callbacks
    def _fit(self, X, y, sample_weight=None, callback=None):
        self._validate_params()
        with listening(self, callback, X, y, sample_weight) as listener:
            self._train(X, y, sample_weight, False, listener)
        return self

    def _partial_fit(self, X, y, sample_weight):
        self._validate_params()
        self._train(X, y, sample_weight, True, Listener())
        return self

    def _train(self, X, y, sample_weight, incremental, listener):
        """From validated parameters to fitted attributes."""
        hidden_units = self._hidden_units()
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, Y, y = self._encode(X, y, first_pass, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        sample_weight = self._weigh(y, sample_weight, incremental)
        if not first_pass:
            self._check_network(hidden_units, Y.shape[1])
        self.n_outputs_ = Y.shape[1]
        self._random_state = check_random_state(self.random_state)
        if first_pass:
            self._initialise([X.shape[1], *hidden_units, self.n_outputs_], X.dtype)
        if self.solver == "lbfgs":
            self._train_lbfgs(X, Y, sample_weight, listener)
        else:
            if incremental and self.early_stopping:
                raise ValueError("partial_fit does not support early_stopping=True")
            self._train_epochs(X, Y, sample_weight, incremental, listener)
        if not all(np.isfinite(w).all() for w in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed: scale it, or lower learning_rate_init."
            )

    def _check_network(self, hidden_units, n_outputs):
        """Raise unless parameters and targets are those of the network to go on with."""
        remedy = "; call fit with warm_start=False to start with a new one"
        *hidden, outputs = (w.shape[1] for w in self.coefs_)
        if hidden_units != hidden:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} is not the network that was "
                f"fitted, of {hidden} units{remedy}"
            )
        if n_outputs != outputs:
            raise ValueError(
                f"y has {n_outputs} outputs, and the network that was fitted {outputs}{remedy}"
            )
        activation = _OUTPUT_ACTIVATIONS[self._loss()]
        if activation != self.out_activation_:
            raise ValueError(
                f"the loss needs the output activation {activation}, and the network that was "
                f"fitted has {self.out_activation_}{remedy}"
            )

    def _weigh(self, y, sample_weight, incremental):
        """The weights of the rows; None is one each."""
        return sample_weight

    def _initialise(self, layer_units, dtype):
        """Initial weights and empty records."""
        self.n_layers_ = len(layer_units)
        self.out_activation_ = _OUTPUT_ACTIVATIONS[self._loss()]
        activation = Activation[self.activation.upper()]
        theta = parameters.initialise(layer_units, activation, self._random_state, dtype)
        self.coefs_, self.intercepts_ = parameters.views(theta, layer_units)
        self._begin_records()

    def _begin_records(self):
        """Nothing was trained yet."""
        self.t_ = 0
        self.loss_curve_ = []
        self._no_improvement_count = 0
        self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
        self._best_coefs = self._best_intercepts = None
        self._forget_optimizer()

    def _forget_optimizer(self):
        """What the optimiser of partial_fit remembers belongs to other weights."""
        self.__dict__.pop("_optimizer", None)

    def _full_batch(self, X, Y, sample_weight):
        """An engine for loss and gradient of all rows, in float64."""
        plan = self._plan(self._fitted_plan().layer_units, np.float64, X.shape[0])
        theta = parameters.flatten(self.coefs_, self.intercepts_, plan.dtype)
        data = X, Y, sample_weight
        return self._engine(plan, theta, data), theta

    def _engine(self, plan, theta, data):
        """The engine of this estimator's device; the CPU's where 'auto' finds no room."""
        arguments = plan, theta, *data, self.n_jobs
        try:
            return backend(self.device, plan.layer_units, data[0]).engine(*arguments)
        except DeviceError:
            if self.device != "auto":
                raise
            return backend("cpu", plan.layer_units, data[0]).engine(*arguments)

    def _train_lbfgs(self, X, Y, sample_weight, listener):
        engine, theta = self._full_batch(X, Y, sample_weight)
        with engine:
            result, losses, self.loss_ = lbfgs.train(
                engine,
                theta,
                listener,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                verbose=self.verbose,
            )
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.coefs_, self.intercepts_ = parameters.views(result.x, engine.plan.layer_units)
        self.loss_curve_ = [*self.loss_curve_, *losses]
        self.best_loss_ = min(self.loss_curve_, default=None)
        self._forget_optimizer()

    def _loss_grad_lbfgs(self, theta, X, Y, sample_weight=None, *buffers):
        """Loss and gradient at packed parameters, in the form of scikit-learn's private method.

        Its buffers are not needed.
        """
        engine, _ = self._full_batch(X, np.reshape(Y, (len(Y), -1)), sample_weight)
        with engine:
            return engine.loss_and_gradient(theta)

    def _train_epochs(self, X, Y, sample_weight, incremental, listener):
        train_part, validation_part = self._split(X, Y, sample_weight)
        n_rows = train_part[0].shape[0]
        continued = incremental and hasattr(self, "_optimizer")
        state = self._optimizer if continued else self._new_optimizer()
        plan = self._plan(
            self._fitted_plan().layer_units,
            self.coefs_[0].dtype,
            self._rows_of_batch(n_rows, incremental),
            **state.constants,
        )
        order = np.arange(n_rows)
        history = self._history(incremental)
        patience = self.n_iter_no_change
        rule = StoppingRule(1 if incremental else self.max_iter, self.tol, patience)
        theta = parameters.flatten(self.coefs_, self.intercepts_, plan.dtype)
        with self._engine(plan, theta, train_part) as engine:
            if state.first is not None:
                engine.push(theta, (state.step, state.first, state.second))
            self.n_iter_, converged = train(
                engine,
                order,
                rule,
                state.schedule,
                history,
                listener,
                shuffle=self._random_state if self.shuffle else None,
                validate=validation_part and partial(self._validate, engine, *validation_part),
                verbose=self.verbose,
            )
            theta = engine.pull()
            state.step, state.first, state.second = engine.state()
        self._optimizer = state
        if self.early_stopping and history.best_theta is not None:
            theta = history.best_theta
        self.coefs_, self.intercepts_ = parameters.views(theta, plan.layer_units)
        self._keep(history, plan)
        if not converged and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _split(self, X, Y, sample_weight):
        """Training and validation parts, each (X, Y, sample_weight); the latter may be None."""
        if not self.early_stopping:
            return (X, Y, sample_weight), None
        arrays = [X, Y] if sample_weight is None else [X, Y, sample_weight]
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=Y if self._stratify() else None,
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        if sample_weight is None:
            parts += [None, None]
        return tuple(parts[0::2]), tuple(parts[1::2])

    def _rows_of_batch(self, n_rows, incremental):
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=7 - incremental,
            )
        return int(min(self.batch_size, n_rows))

    def _validate(self, engine, X, Y, sample_weight):
        """Score of the engine's parameters; not a number where predictions are not finite."""
        outputs = engine.outputs(X)
        if not np.isfinite(outputs).all():
            return np.nan
        return self._score_outputs(Y, outputs, sample_weight)

    def _history(self, incremental):
        """The record to continue; what an earlier fit without it cannot know starts afresh."""
        history = History(
            loss_curve=self.loss_curve_,
            no_improvement_count=self._no_improvement_count if incremental else 0,
            n_samples_seen=self.t_,
        )
        if self.early_stopping:
            history.validation_scores = self.validation_scores_ or []
            history.best_validation_score = -np.inf
            if self._best_coefs is not None and self.best_validation_score_ is not None:
                history.best_validation_score = self.best_validation_score_
                dtype = self.coefs_[0].dtype
                history.best_theta = parameters.flatten(
                    self._best_coefs, self._best_intercepts, dtype
                )
        else:
            history.best_loss = np.inf if self.best_loss_ is None else self.best_loss_
        return history

    def _keep(self, history, plan):
        """Attributes from the record of training."""
        self.loss_curve_ = history.loss_curve
        if history.loss_curve:
            self.loss_ = history.loss_curve[-1]
        self.t_ = history.n_samples_seen
        self._no_improvement_count = history.no_improvement_count
        self.best_loss_ = history.best_loss
        self.validation_scores_ = history.validation_scores
        self.best_validation_score_ = history.best_validation_score
        self._best_coefs = self._best_intercepts = None
        if history.best_theta is not None:
            best = history.best_theta.copy()
            self._best_coefs, self._best_intercepts = parameters.views(best, plan.layer_units)

    def to_sklearn(self):
        """The same model as an estimator of scikit-learn, with equal predictions.

        Parameters that scikit-learn does not have (``n_jobs``, ``class_weight``) and the memory
        of the optimiser are left behind.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        """
        from .interop import to_sklearn

        return to_sklearn(self)

    # ---- the contract --------------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self):
        return {**super().__getstate__(), "_fastmlp_version": __version__}

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_fastmlp_version", "unknown")
        if version.split(".")[:2] != __version__.split(".")[:2]:
            warnings.warn(
                f"this {type(self).__name__} was saved by fastmlp {version} and is loaded by "
                f"{__version__}; fit it again if results differ",
                UserWarning,
                stacklevel=2,
            )
        # Parameters that the saved version did not have.
        for name, parameter in signature(type(self)).parameters.items():
            state.setdefault(name, parameter.default)
        super().__setstate__(state)

    # ---- predicting ----------------------------------------------------------------------

    def _outputs(self, X):
        """Output activations for validated X, in the wider type of X and the weights."""
        check_is_fitted(self)
        X = validated(self, X, accept_sparse="csr", reset=False)
        plan = self._fitted_plan()
        theta = parameters.flatten(self.coefs_, self.intercepts_, plan.dtype)
        try:
            result = backend(self.device, plan.layer_units, X).outputs(plan, theta, X, self.n_jobs)
        except DeviceError:
            # A model that was trained on a GPU predicts without one, too.
            result = backend("cpu", plan.layer_units, X).outputs(plan, theta, X, self.n_jobs)
        return result.astype(np.result_type(plan.dtype, X.dtype), copy=False)
