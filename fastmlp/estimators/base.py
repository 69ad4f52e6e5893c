"""What MLPClassifier and MLPRegressor share: the way into a fit, and into predictions."""

from inspect import signature
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from ..engines.devices import open_engine
from ..engines.engine import Data, OpenEngine
from ..exceptions import warn_user
from ..network import weights
from ..training.callbacks import Callback, Listener
from . import conversion, fitting, inputs, parameters, planning
from .callbacks import listening
from .targets import Targets


def solver_has_partial_fit(estimator: Any) -> bool:
    """Tell whether ``partial_fit`` exists; say why not where it does not."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers, such as solver='sgd' or "
            "'adam', not 'lbfgs'"
        )
    return True


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """What the classifier and the regressor share.

    A subclass makes its :class:`fastmlp.estimators.targets.Targets` in ``_targets``.
    """

    # scikit-learn's metadata routing splits data by rows; these have none to split.
    __metadata_request__fit = {"callback": UNUSED, "eval_set": UNUSED}  # noqa: RUF012

    _parameter_constraints: dict = parameters.CONSTRAINTS

    def _targets(self) -> Targets:
        """Return the targets that the parameters describe, with what a fit has learned of them.

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
    ) -> Self:
        """Fit as ``fit`` does.

        :func:`fastmlp.fit_many` leaves ``_open_engine`` behind for the next fit.
        """
        opener: OpenEngine = vars(self).pop("_open_engine", open_engine)
        self._validate_params()
        with listening(self, callback, X, y, sample_weight) as listener:
            fitting.run(self, X, y, sample_weight, eval_set, listener=listener, open_engine=opener)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        self._validate_params()
        fitting.run(self, X, y, sample_weight, incremental=True, listener=Listener())
        return self

    def _outputs(self, X: Any) -> np.ndarray:
        """Return output activations, in the wider type of X and the weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
        """
        check_is_fitted(self)
        X = inputs.read_features(self, X)
        plan = planning.prediction_plan(self)
        theta = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        result = fitting.predict_outputs(self, plan, theta, X)
        return result.astype(np.result_type(plan.dtype, X.dtype), copy=False)

    def _loss_grad_lbfgs(
        self, theta: np.ndarray, X: Any, Y: np.ndarray, sample_weight: Any = None, *buffers: Any
    ) -> tuple[float, np.ndarray]:
        """Compute loss and gradient at packed parameters, like scikit-learn's private method.

        Nothing here calls it: scikit-learn's own tests of its multilayer perceptron do, and they
        pass on these classes. The buffers that they give are not needed.
        """
        targets = self._targets()
        units = planning.layer_units(self)
        plan = planning.objective_plan(self, targets, units, np.float64, X.shape[0])
        data = Data(X, targets.to_train(np.reshape(Y, (len(Y), -1))), sample_weight)
        start = weights.flatten(self.coefs_, self.intercepts_, plan.dtype)
        with open_engine(self.device, plan, start, data, n_jobs=self.n_jobs) as engine:
            return engine.loss_and_gradient(theta)

    def to_sklearn(self) -> Any:
        """Return the same model as an estimator of scikit-learn, with equal predictions.

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
        return conversion.to_sklearn(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_fastmlp_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_fastmlp_version", "unknown")
        if version.split(".")[:2] != __version__.split(".")[:2]:
            warn_user(
                f"this {type(self).__name__} was saved by fastmlp {version} and is loaded by "
                f"{__version__}; fit it again if results differ"
            )
        # Parameters that the saved version did not have.
        for name, parameter in signature(type(self)).parameters.items():
            state.setdefault(name, parameter.default)
        super().__setstate__(state)
