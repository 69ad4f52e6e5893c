"""BaseMLP, the base class of MLPClassifier and MLPRegressor: fits and predictions."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np
import sklearn.callback
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from ..engines.devices import open_engine
from ..engines.engine import Data, OpenEngine
from ..exceptions import warn_user
from ..network import weights
from ..training.callbacks import Callback, Listener
from ..training.keeping import kept
from . import conversion, fitting, inputs, parameters, planning, prediction
from ._sklearn import (
    parameter_defaults,
    parameter_names,
    validate_parameters,
    without_running_fit,
)
from .callbacks import listening
from .targets import Targets
from .transaction import WholeReads, whole

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _has_partial_fit(estimator: Any) -> bool:
    """Tell whether an estimator has ``partial_fit``.

    Raises
    ------
    AttributeError
        When its solver has none; the message says so.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers, such as solver='sgd' or "
            "'adam', not 'lbfgs'"
        )
    return True


# Decorators return methods of the same type, which scikit-learn's own do not say.
with_callbacks: Callable[[_Method], _Method] = sklearn.callback.with_callbacks
available_if_has_partial_fit: Callable[[_Method], _Method] = available_if(_has_partial_fit)


class BaseMLP(sklearn.callback.CallbackSupportMixin, WholeReads, BaseEstimator):
    """Base class of the classifier and the regressor.

    A subclass overrides ``_targets``.
    """

    # scikit-learn's metadata routing passes on what can be split by rows, unlike these arguments.
    __metadata_request__fit = {"callback": UNUSED, "checkpoint": UNUSED, "eval_set": UNUSED}  # noqa: RUF012

    _parameter_constraints: dict[str, list[Any]] = parameters.CONSTRAINTS

    # What a fit sets, for type checkers and editors; the docstrings of the subclasses say more.
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    history_: dict[str, list[Any]]
    t_: int
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    n_features_in_: int
    feature_names_in_: np.ndarray
    out_activation_: str

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of all parameters, as scikit-learn asks for them."""
        return list(parameter_names(cls))

    def _targets(self) -> Targets:
        """Make the targets from the parameters and, after a fit, from the learned classes.

        Returns
        -------
        Targets

        Raises
        ------
        ValueError
            For parameters that cannot be used together.
        """
        raise NotImplementedError

    @with_callbacks
    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        callback: Callback | None = None,
        checkpoint: Any = None,
    ) -> Self:
        """Fit as ``fit`` does.

        :func:`fastmlp.fit_many` leaves ``_open_engine`` behind for the next fit, and a pack that
        is trained by it ``_place``.
        """
        opener: OpenEngine = self.__dict__.pop("_open_engine", open_engine)
        checkpoint = self.__dict__.pop("_place", checkpoint)
        validate_parameters(self)
        with listening(self, callback, X, y, sample_weight) as listener, kept(checkpoint) as place:
            fitting.run(
                self, X, y, sample_weight, eval_set, listener=listener, open_engine=opener,
                place=place,
            )  # fmt: skip
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Fit as ``partial_fit`` does, which has checked the parameters."""
        fitting.run(self, X, y, sample_weight, incremental=True, listener=Listener())
        return self

    def _outputs(self, X: Any, model: Self | None = None) -> np.ndarray:
        """Compute the activations of the output layer.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_rows, n_features)
        model : estimator, optional
            What :func:`whole` has returned for this estimator, if the caller has asked it before.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            Its type is the wider one of those of X and of the weights.

        Raises
        ------
        ValueError
            See :func:`fastmlp.estimators.prediction.outputs`.
        """
        self._check_fitted()
        model = whole(self) if model is None else model
        return prediction.outputs(model, inputs.read_features(model, X), self)

    def _check_fitted(self) -> None:
        """Raise scikit-learn's NotFittedError unless the estimator is fitted."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)

    def _loss_grad_lbfgs(
        self, theta: np.ndarray, X: Any, Y: np.ndarray, sample_weight: Any = None, *buffers: Any
    ) -> tuple[float, np.ndarray]:
        """Compute the loss and its gradient, as scikit-learn's private method of this name does.

        This package does not call it; scikit-learn's own tests of its multilayer perceptrons do,
        which these classes pass.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,), float64
        X : array-like of shape (n_rows, n_features)
        Y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : ndarray of shape (n_rows,) or None
        *buffers : ignored

        Returns
        -------
        loss : float
        gradient : ndarray of shape (n_parameters,)
        """
        targets = self._targets()
        units = planning.layer_units(self)
        plan = planning.objective_plan(self, targets, units, np.float64, X.shape[0])
        data = Data(X, targets.to_train(np.reshape(Y, (len(Y), -1))), sample_weight)
        start = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        with open_engine(self.device, plan, start, data, n_jobs=self.n_jobs) as engine:
            return engine.loss_and_gradient(theta)

    def to_sklearn(self) -> Any:
        """Convert the model to an estimator of scikit-learn, with equal predictions.

        The result lacks the memory of the optimiser and the parameters that scikit-learn does not
        have, such as ``n_jobs`` and ``class_weight``. Parameters with values that scikit-learn does
        not know, such as ``solver='nadam'``, get their defaults.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

        Raises
        ------
        ValueError
            When scikit-learn's class cannot predict the same: where the activation is not one of
            its four, and where there are several quantiles.
        """
        return conversion.to_sklearn(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), "_fastmlp_version": __version__}
        return without_running_fit(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_fastmlp_version", "unknown")
        if version.split(".")[:2] != __version__.split(".")[:2]:
            warn_user(
                f"this {type(self).__name__} was saved by fastmlp {version} and is loaded by "
                f"{__version__}; fit it again if results differ"
            )
        # The version that saved it may have lacked some parameters.
        for name, default in parameter_defaults(type(self)).items():
            state.setdefault(name, default)
        super().__setstate__(state)
