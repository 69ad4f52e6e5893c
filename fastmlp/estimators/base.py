"""What MLPClassifier and MLPRegressor share: from parameters to a plan, and through a fit."""

import warnings
from dataclasses import replace
from functools import partial
from inspect import signature

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_is_fitted,
    validate_data,
)

from .. import __version__
from ..engines.devices import backend, device_matrix, host_array, is_on_gpu
from ..exceptions import (
    DeviceError,
    DivergenceError,
    InterruptedTrainingWarning,
    TrainingWarning,
)
from ..network import inspection, weights
from ..network.plan import OUTPUT_ACTIVATIONS, Optimizer, TrainingPlan
from ..schedules import LearningRate, schedule_for
from ..training import diagnosis, holdout, lbfgs
from ..training.callbacks import Listener, listening
from ..training.loop import History, OptimizerState, StoppingRule, Watch, train
from . import parameters, planning, records

# Rows on which units are looked for that are never active: after each epoch, and after a fit.
_MONITORED_ROWS, _DIAGNOSED_ROWS = 2000, 1000


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
            "partial_fit is only available for stochastic optimizers, such as solver='sgd' or "
            "'adam', not 'lbfgs'"
        )
    return True


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """What the classifier and the regressor share.

    A subclass has ``_loss()``, ``_encode(X, y, first_pass, incremental)`` (the
    validated X, the matrix that is trained on, and the validated y), ``_score_outputs``
    and ``_stratify``; it may weigh rows in ``_weigh``.
    """

    # scikit-learn's metadata routing splits data by rows; these have none to split.
    __metadata_request__fit = {"callback": UNUSED, "eval_set": UNUSED}  # noqa: RUF012

    _parameter_constraints: dict = parameters.CONSTRAINTS

    # ---- from parameters to a plan -------------------------------------------------------

    def _fitted_plan(self):
        """The plan with which the fitted network predicts."""
        units = [self.coefs_[0].shape[0], *(w.shape[1] for w in self.coefs_)]
        return TrainingPlan(
            layer_units=tuple(units),
            activation=planning.activations(self, len(units) - 2),
            loss=planning.PREDICTION_LOSSES[self.out_activation_],
            optimizer=Optimizer.GRADIENT,
            dtype=self.coefs_[0].dtype,
        )

    def _new_optimizer(self):
        kind = self.learning_rate if self.solver in ("gd", "sgd") else "constant"
        schedule = schedule_for(self.lr_schedule or kind, self.power_t)
        rate = LearningRate(schedule, self.learning_rate_init, self.max_iter)
        return OptimizerState(rate, planning.optimizer_constants(self))

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
            units = self._fitted_plan().layer_units
            theta = weights.flatten(self.coefs_, self.intercepts_, np.float64)
        else:
            units = [X.shape[1], *planning.hidden_units(est), Y.shape[1]]
            rng = check_random_state(self.random_state)
            activation = planning.activations(est, len(units) - 2)
            theta = weights.initialise(units, activation, rng, np.float64, self.init)
        plan = planning.objective_plan(est, units, np.float64)
        return plan, theta, X, est._training_targets(Y), sample_weight

    # ---- fitting -------------------------------------------------------------------------

    @with_callbacks
    def _fit(self, X, y, sample_weight, eval_set, callback):
        self._validate_params()
        with listening(self, callback, X, y, sample_weight) as listener:
            self._train(X, y, sample_weight, eval_set, False, listener)
        return self

    def _partial_fit(self, X, y, sample_weight):
        self._validate_params()
        self._train(X, y, sample_weight, None, True, Listener())
        return self

    def _train(self, X, y, sample_weight, eval_set, incremental, listener):
        """From validated parameters to fitted attributes; all of them, or none."""
        parameters.check_together(self, eval_set, incremental)
        hidden_units = planning.hidden_units(self)
        planning.check(self, len(hidden_units))
        before = records.snapshot(self)
        try:
            first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
            X, Y, y = self._encode(X, y, first_pass, incremental)
            if sample_weight is not None:
                sample_weight = _check_sample_weight(host_array(sample_weight), X)
            weight = self._weigh(y, sample_weight, incremental)
            rows = holdout.Rows(X, Y, weight, y, sample_weight)
            held = None if eval_set is None else holdout.read_eval_set(self, eval_set, rows)
            if not first_pass:
                self._check_network(hidden_units, Y.shape[1])
            self.n_outputs_ = Y.shape[1]
            self._random_state = check_random_state(self.random_state)
            if first_pass:
                self._initialise([X.shape[1], *hidden_units, self.n_outputs_], X.dtype)
            n_before = len(self.loss_curve_)
            train_rows = self._train_lbfgs if self.solver == "lbfgs" else self._train_epochs
            conclude = train_rows(rows, held, incremental, listener)
        except BaseException:
            records.restore(self, before)
            raise
        # Warnings may be errors: what was learned is kept by now.
        conclude()
        if self.diagnose and not incremental:
            self._diagnose(X, n_before)

    def _check_network(self, hidden_units, n_outputs):
        """Raise unless parameters and targets are those of the network to go on with."""
        remedy = "; call fit with warm_start=False to start with a new one"
        *inspection, outputs = (w.shape[1] for w in self.coefs_)
        if hidden_units != inspection:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} is not the network that was "
                f"fitted, of {inspection} units{remedy}"
            )
        if n_outputs != outputs:
            raise ValueError(
                f"y has {n_outputs} outputs, and the network that was fitted {outputs}{remedy}"
            )
        activation = OUTPUT_ACTIVATIONS[self._loss()]
        if activation != self.out_activation_:
            raise ValueError(
                f"the loss needs the output activation {activation}, and the network that was "
                f"fitted has {self.out_activation_}{remedy}"
            )

    def _weigh(self, y, sample_weight, incremental, trained=None):
        """The weights of the rows; None is one each.

        `trained` are the rows of training, where the others are not these.
        """
        return sample_weight

    def _training_targets(self, Y):
        """What the network is to learn, where that is not the matrix of targets itself."""
        return Y

    def _loss_parameters(self, n_outputs):
        """See :class:`fastmlp.network.plan.TrainingPlan`."""
        return ()

    def _custom_loss(self):
        """See :class:`fastmlp.network.plan.TrainingPlan`."""
        return None

    def _draw_seed(self, plan):
        """The seed of the dropout's masks; without dropout nothing is drawn."""
        return int(self._random_state.randint(2**32, dtype=np.uint32)) if plan.dropout else 0

    def _initialise(self, layer_units, dtype):
        """Initial weights and empty records."""
        self.n_layers_ = len(layer_units)
        self.out_activation_ = OUTPUT_ACTIVATIONS[self._loss()]
        activation = planning.activations(self, len(layer_units) - 2)
        theta = weights.initialise(layer_units, activation, self._random_state, dtype, self.init)
        self.coefs_, self.intercepts_ = weights.views(theta, layer_units)
        self._begin_records()

    def _begin_records(self):
        """Nothing was trained yet."""
        records.begin(self)
        self._forget_optimizer()

    def _forget_optimizer(self):
        """What the optimiser of partial_fit remembers belongs to other weights."""
        self.__dict__.pop("_optimizer", None)

    def _full_batch(self, X, Y, sample_weight, n_epochs=1):
        """An engine for loss and gradient of all rows, in float64; and the parameters."""
        units = self._fitted_plan().layer_units
        plan = planning.objective_plan(self, units, np.float64, X.shape[0])
        theta = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        data = X, Y, sample_weight
        return self._engine(plan, theta, data, n_epochs), theta

    def _engine(self, plan, theta, data, n_epochs):
        """The engine of this estimator's device; the CPU's where 'auto' finds no room."""
        X, Y, sample_weight = data
        arguments = plan, theta, X, self._training_targets(Y), sample_weight, self.n_jobs
        try:
            return backend(self.device, plan, X, n_epochs).engine(*arguments)
        except DeviceError:
            if self.device != "auto":
                raise
            return backend("cpu", plan, X).engine(*arguments)

    def _train_lbfgs(self, rows, held, incremental, listener):
        engine, theta = self._full_batch(*rows[:3], self.max_iter)
        history = History(loss_curve=self.loss_curve_, numbers=self.history_)
        with engine:
            outcome = lbfgs.train(
                engine,
                theta,
                history,
                listener,
                max_iter=self.max_iter,
                max_fun=self.max_fun,
                tol=self.tol,
                watch=self._watch(rows, held, wants_loss=True),
                verbose=self.verbose,
            )
        self.n_iter_, self.loss_ = outcome.n_iterations, outcome.loss
        self.coefs_, self.intercepts_ = weights.views(outcome.theta, engine.plan.layer_units)
        self.best_loss_ = min(self.loss_curve_, default=None)
        self._forget_optimizer()

        def conclude():
            if outcome.interrupted:
                warnings.warn(
                    "Training interrupted by user.", InterruptedTrainingWarning, stacklevel=6
                )
            elif outcome.diverged:
                raise DivergenceError(diagnosis.diverged(self, outcome.n_iterations + 1))
            else:
                _check_optimize_result("lbfgs", outcome.result, self.max_iter)

        return conclude

    def _loss_grad_lbfgs(self, theta, X, Y, sample_weight=None, *buffers):
        """Loss and gradient at packed parameters, in the form of scikit-learn's private method.

        Its buffers are not needed.
        """
        engine, _ = self._full_batch(X, np.reshape(Y, (len(Y), -1)), sample_weight)
        with engine:
            return engine.loss_and_gradient(theta)

    def _watch(self, rows, held, wants_loss):
        """What is measured after each epoch, beside the training loss."""
        validate = None if held is None else holdout.Validator(self, held, wants_loss)
        if not self.monitor:
            return Watch(validate)
        X = inspection.some_rows(rows.X, _MONITORED_ROWS)

        def dead_units(engine):
            return inspection.dead_units(engine.plan, engine.pull(), X, self._predict)

        return Watch(validate, lambda engine: engine.gradient_norm, dead_units)

    def _train_epochs(self, rows, held, incremental, listener):
        wants_loss = self.monitor or held is not None
        if self.early_stopping and held is None:
            rows, held = holdout.hold_out(self, rows)
        n_rows = rows.X.shape[0]
        continued = incremental and hasattr(self, "_optimizer")
        state = self._optimizer if continued else self._new_optimizer()
        plan = planning.objective_plan(
            self,
            self._fitted_plan().layer_units,
            self.coefs_[0].dtype,
            self._rows_of_batch(n_rows, incremental),
        )
        plan = replace(
            plan, **state.constants, **planning.step_options(self), seed=self._draw_seed(plan)
        )
        order = np.arange(n_rows)
        history = records.continued(self, incremental)
        max_epochs = 1 if incremental else self.max_iter
        rule = StoppingRule(max_epochs, self.tol, self.n_iter_no_change, self.early_stopping)
        theta = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        watch = self._watch(rows, held, wants_loss)
        if history.best_theta is not None:
            # The rows may be others than those of the fit that found it.
            best = holdout.Fixed(plan, history.best_theta, self._predict)
            history.best_validation_score = watch.validate(best).score
        with self._engine(plan, theta, rows[:3], max_epochs) as engine:
            if state.first is not None:
                engine.push(theta, (state.step, state.first, state.second))
            outcome = train(
                engine,
                order,
                rule,
                state.schedule,
                history,
                listener,
                shuffle=self._random_state if self.shuffle else None,
                watch=watch,
                swa_start=self.swa_start,
                verbose=self.verbose,
            )
            theta, diverged = self._weights(engine, theta, outcome, history)
            state.step, state.first, state.second = engine.state()
        self.n_iter_ = outcome.n_epochs
        self._optimizer = state
        self.coefs_, self.intercepts_ = weights.views(theta, plan.layer_units)
        records.keep(self, history, plan.layer_units)
        if diverged:
            self._forget_optimizer()
        ended_early = not outcome.converged and not state.schedule.schedule.has_horizon
        return partial(self._conclude, outcome, diverged, ended_early and not incremental)

    def _conclude(self, outcome, has_lost, ended_early):
        """Say how training by epochs ended."""
        if has_lost:
            raise DivergenceError(diagnosis.diverged(self, outcome.n_epochs))
        if outcome.diverged:
            warnings.warn(diagnosis.stopped(outcome.n_epochs), TrainingWarning, stacklevel=6)
            return
        if outcome.interrupted:
            warnings.warn("Training interrupted by user.", InterruptedTrainingWarning, stacklevel=6)
        if ended_early:
            advice = f" {self._advice()}" if self.diagnose else ""
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                f"optimization hasn't converged yet.{advice}",
                ConvergenceWarning,
                stacklevel=6,
            )
        if self.swa_start is not None and outcome.mean_theta is None:
            warnings.warn(
                f"training ended after {outcome.n_epochs} epochs, before swa_start="
                f"{self.swa_start}: the weights are the last ones, not a mean",
                TrainingWarning,
                stacklevel=6,
            )

    def _weights(self, engine, start, outcome, history):
        """The weights to keep after training, and whether it diverged."""
        if self.early_stopping and history.best_theta is not None:
            return history.best_theta, False
        theta = engine.pull()
        if outcome.mean_theta is not None:
            theta = outcome.mean_theta.astype(theta.dtype)
        if not outcome.diverged and np.isfinite(theta).all():
            return theta, False
        kept = engine.last_finite()
        return (start if kept is None else kept), True

    def _advice(self):
        """What to do where the limit of epochs ended training."""
        return diagnosis.still_improving(self.loss_curve_[-self.n_iter_ :], self.tol)

    def _diagnose(self, X, n_before):
        """Warn of what went wrong in the fit that followed so many epochs."""
        losses = self.loss_curve_[n_before:]
        validation_losses = self.history_.get("validation_loss", [])
        validation_losses = validation_losses[len(validation_losses) - len(losses) :]
        findings = [diagnosis.diverging(losses, self.tol, self.early_stopping)]
        if not self.early_stopping:  # which keeps the best weights
            findings.append(diagnosis.overfitting(losses, validation_losses, self.tol))
        plan = self._fitted_plan()
        if inspection.relu_layers(plan):
            theta = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
            few = inspection.some_rows(X, _DIAGNOSED_ROWS)
            shares = inspection.dead_units(plan, theta, few, self._predict)
            units = [plan.layer_units[layer + 1] for layer in inspection.relu_layers(plan)]
            findings.append(diagnosis.dying(shares, units))
        for finding in findings:
            if finding is not None:
                message = f"{finding}. (diagnose=False silences this.)"
                warnings.warn(message, TrainingWarning, stacklevel=6)

    def _rows_of_batch(self, n_rows, incremental):
        if self.solver == "gd":
            return n_rows
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=7 - incremental,
            )
        return int(min(self.batch_size, n_rows))

    def to_sklearn(self):
        """The same model as an estimator of scikit-learn, with equal predictions.

        Parameters and choices that scikit-learn does not have (``n_jobs``, ``class_weight``,
        ``solver='nadam'``) and the memory of the optimiser are left behind.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

        Raises
        ------
        ValueError
            Where scikit-learn's class could not predict the same: for another activation than
            its four, and for several quantiles.
        """
        from .conversion import to_sklearn

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
        theta = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        result = self._predict(plan, theta, X)
        return result.astype(np.result_type(plan.dtype, X.dtype), copy=False)

    def _predict(self, plan, theta, X):
        """Outputs of a network on this estimator's device."""
        try:
            return backend(self.device, plan, X).outputs(plan, theta, X, self.n_jobs)
        except DeviceError:
            # A model that was trained on a GPU predicts without one, too.
            return backend("cpu", plan, X).outputs(plan, theta, X, self.n_jobs)
