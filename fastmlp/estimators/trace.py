"""The computation graph of a network for one example: every number on the way there and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

from ..exceptions import DataWarning, InputError, warn_user
from ..network.formulas import activations, losses
from ..network.plan import OUTPUT_ACTIVATIONS, Activation, Loss, TrainingPlan
from ..network.weights import flatten, penalty, views
from .gradient_check import Objective, objective_of, relative_error
from .trace_text import written


@dataclass(frozen=True, eq=False)
class TracedLayer:
    """One layer of a :class:`Trace`.

    A unit j of a layer computes ``z_j = sum_i h_i W_ij + b_j`` from the outputs h of the layer
    before, and ``h_j = f(z_j)``. Of several examples, everything but W and b is a mean.

    Parameters
    ----------
    activation : str
        The name of f.
    W : ndarray of shape (fan_in, n_units)
        The weights.
    b : ndarray of shape (n_units,)
        The biases.
    z : ndarray of shape (n_units,)
        The pre-activations.
    h : ndarray of shape (n_units,)
        The activations; those of the last layer are the predictions.
    dh_dz : ndarray of shape (n_units,) or (n_units, n_units)
        The local derivative f'(z). For a softmax, each output of which depends on all
        pre-activations, row j has the derivatives of output j.
    dL_dh : ndarray of shape (n_units,)
        The error signal that arrives at h.
    dL_dz : ndarray of shape (n_units,)
        The error signal that arrives at z, also called delta.
    dL_dW : ndarray of shape (fan_in, n_units)
        The gradient of the loss of the examples; the element (i, j) is ``h_i dL/dz_j``.
    dL_db : ndarray of shape (n_units,)
        Likewise; it is ``dL/dz``.
    penalty_dW : ndarray of shape (fan_in, n_units)
        The gradient of the penalty, which training adds to ``dL_dW``. Biases have none.
    """

    activation: str
    W: np.ndarray
    b: np.ndarray
    z: np.ndarray
    h: np.ndarray
    dh_dz: np.ndarray
    dL_dh: np.ndarray
    dL_dz: np.ndarray
    dL_dW: np.ndarray
    dL_db: np.ndarray
    penalty_dW: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The computation graph of one example, or the means over several; see :func:`trace`.

    ``print`` shows it as a table, and :func:`fastmlp.plotting.computation_graph` draws it.

    Parameters
    ----------
    x : ndarray of shape (n_features,)
    t : ndarray of shape (n_outputs,)
        The target as the outputs are compared with it: of a class its row of zeros and a one.
    layers : tuple of TracedLayer
        From the first hidden layer to the output layer.
    loss_name : str
        Such as 'squared_error' or 'cross_entropy'.
    loss : float
        The loss of the examples, without penalty. Of several regression outputs it is the sum.
    penalty : float
        ``alpha / (2 S)`` times the sum of squared weights, and ``l1 / S`` times that of absolute
        ones. S is the total weight of the examples, which for one example is 1: it weighs more
        than in a batch.
    dL_dx : ndarray of shape (n_features,)
        The gradient of the loss with respect to the inputs.
    n_examples : int
    objective : Objective
        What training minimises, for these examples alone; :meth:`check` compares with it.
    """

    x: np.ndarray
    t: np.ndarray
    layers: tuple[TracedLayer, ...]
    loss_name: str
    loss: float
    penalty: float
    dL_dx: np.ndarray
    n_examples: int
    objective: Objective

    @property
    def prediction(self) -> np.ndarray:
        """The activations of the output layer, an array of shape (n_outputs,)."""
        return self.layers[-1].h

    def check(self) -> float:
        """Compare all gradients of weights and biases, penalty included, with differences.

        It is done as by :func:`fastmlp.check_gradient`, whose central differences are those of the
        loss that the compiled kernels compute. The cost is two passes for each parameter.

        Returns
        -------
        float
            The largest relative error over all weight matrices and bias vectors; see
            :func:`fastmlp.check_gradient`. Below 1e-6 the gradients are right.
        """
        gradient = flatten(
            [layer.dL_dW + layer.penalty_dW for layer in self.layers],
            [layer.dL_db for layer in self.layers],
            np.float64,
        )
        return relative_error(self.objective, gradient)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as lists in dicts, for JSON.

        Returns
        -------
        dict
            With the names of the attributes; 'layers' is a list of dicts.
        """
        result = {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("layers", "objective")
        }
        result["layers"] = [
            {field.name: _plain(getattr(layer, field.name)) for field in fields(layer)}
            for layer in self.layers
        ]
        return result

    def __repr__(self) -> str:
        return written(self)


def trace(model: Any, x: Any, y: Any) -> Trace:
    """Compute the graph of one example: every number of its way through a network and back.

    It is backpropagation as textbooks write it, in float64 and plain NumPy, beside the compiled
    kernels that train. Dropout is left out.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Fitted; it is not modified.
    x : array-like of shape (n_features,), or array-like or sparse matrix of shape \
(n_examples, n_features)
        One example, or several.
    y : label or number, or array-like of shape (n_outputs,), (n_examples,) or \
(n_examples, n_outputs)
        The true value, or values.

    Returns
    -------
    Trace
        Of several examples it has the means. The class weights of a classifier count.

    Raises
    ------
    InputError
        When x is no example, y is not one value for each output of each, or the class weights of
        all examples are 0, or numbers are too large for an exponential.
    ValueError
        When x or y do not fit the model.

    Warns
    -----
    DataWarning
        When the loss or a gradient is not finite.

    Examples
    --------
    >>> from fastmlp import MLPRegressor, trace
    >>> model = MLPRegressor(hidden_layer_sizes=(), max_iter=1, tol=1, random_state=0)
    >>> model = model.fit([[0.0], [1.0]], [0.0, 1.0])
    >>> model.coefs_, model.intercepts_ = [np.array([[2.0]])], [np.array([1.0])]
    >>> graph = trace(model, [3.0], 5.0)
    >>> float(graph.layers[0].z[0]), float(graph.loss), float(graph.layers[0].dL_dW[0, 0])
    (7.0, 2.0, 6.0)
    """
    if not hasattr(model, "hidden_layer_sizes") or not hasattr(model, "_targets"):
        raise InputError(
            f"a trace is of an MLPClassifier or MLPRegressor, got {type(model).__name__}"
        )
    check_is_fitted(model, "coefs_")
    return trace_of(objective_of(model, *_examples(x, y)))


def trace_of(objective: Objective) -> Trace:
    """Compute the graph of the rows of an objective, at its parameters; see :func:`trace`.

    Parameters
    ----------
    objective : Objective

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        When its targets are not one value for each output, or all rows have the weight 0, or
        numbers are too large for an exponential.
    """
    objective = objective._replace(plan=replace(objective.plan, dropout=()))
    plan, (X, T, _) = objective.plan, objective.data
    if T.shape[1] != plan.n_outputs:
        raise InputError(
            f"y has {T.shape[1]} values for each example, and the model {plan.n_outputs} outputs"
        )
    shares, total = _shares(objective)
    with np.errstate(over="ignore", invalid="ignore"):  # there is one warning of all below
        values, signals = _Values(plan, objective.theta, X), _Signals(plan, T)
        signals.go_back(values)
        layers = tuple(
            _layer(plan, values, signals, number, shares, total) for number in range(len(values.W))
        )
        loss, dL_dx = float(shares @ signals.losses), shares @ signals.dL_dx
    results = [dL_dx, *(layer.dL_dW for layer in layers)]
    if not (np.isfinite(loss) and all(np.isfinite(result).all() for result in results)):
        warn_user("the loss or a gradient is not finite; scale x and y as for the fit", DataWarning)
    return Trace(
        x=shares @ X,
        t=shares @ T,
        layers=layers,
        loss_name=Loss(plan.loss).name.lower(),
        loss=loss,
        penalty=float(penalty(objective.theta, plan, total)),
        dL_dx=dL_dx,
        n_examples=len(X),
        objective=objective,
    )


def _examples(x: Any, y: Any) -> tuple[Any, np.ndarray]:
    """Return rows of X and y, of a single example too.

    Raises
    ------
    InputError
        When these are no examples.
    """
    Y = np.asarray(y)
    if issparse(x):
        x = x.toarray()
    # A frame, and a row of one, keep their names of columns, which are compared with the fit's.
    is_row_of_frame = hasattr(x, "iloc") and not hasattr(x, "columns")
    if is_row_of_frame:
        x, Y = x.to_frame().T, Y[np.newaxis]
    X = x if hasattr(x, "columns") else np.asarray(x)
    if X.ndim not in (1, 2):
        raise InputError(f"x must be one example or rows of several, got shape {X.shape}")
    if X.ndim == 1:
        X, Y = X[np.newaxis], Y[np.newaxis]
    if Y.shape == (1, 1):
        Y = Y[:, 0]
    if Y.ndim == 0 or len(Y) != len(X):
        raise InputError(f"y must have a value for each of {len(X)} examples, got shape {Y.shape}")
    return X, Y


def _shares(objective: Objective) -> tuple[np.ndarray, float]:
    """Return the share of each example in the mean loss, and the total weight.

    Raises
    ------
    InputError
        When the weight of all examples is 0.
    """
    X, _, weight = objective.data
    if weight is None:
        return np.full(len(X), 1 / len(X)), float(len(X))
    if not (total := float(weight.sum())):
        raise InputError("the classes of these examples have weight 0, so that there is no loss")
    return weight / total, total


def _elementwise(formula: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Apply a scalar formula to the elements of arrays; raise InputError where it overflows."""
    try:
        return np.vectorize(formula, otypes=[np.float64])(*arrays)
    except OverflowError as error:
        raise InputError(
            "the exponential of a number in this network is too large for float64; scale x as for "
            "the fit"
        ) from error


class _Values:
    """What goes forward, for each example.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    X : ndarray of shape (n_examples, n_features)
    """

    def __init__(self, plan: TrainingPlan, theta: np.ndarray, X: np.ndarray) -> None:
        self.W, self.b = views(theta, plan.layer_units)
        self.names = [Activation(kind).name.lower() for kind in plan.activations]
        self.names.append(OUTPUT_ACTIVATIONS[plan.loss])
        self.inputs: list[np.ndarray] = []
        self.z: list[np.ndarray] = []
        self.slopes: list[np.ndarray] = []
        h = X
        for number, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
            self.inputs.append(h)
            z = h @ W + b
            if number < len(plan.activations):
                h, slope = _hidden(Activation(plan.activations[number]), z)
            else:
                h, slope = _output(self.names[-1], z)
            self.z.append(z)
            self.slopes.append(slope)
        self.inputs.append(h)


def _hidden(kind: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the activations of hidden units, and their derivatives."""
    h = _elementwise(activations.formula_of(kind), z)
    derivative, slope = activations.derivative_of(kind), activations.slope_of(kind)
    return h, _elementwise(slope, z) if derivative is None else _elementwise(derivative, h)


def _output(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions, and their derivatives: of a softmax a matrix for each example."""
    if name == "identity":
        return z, np.ones_like(z)
    if name == "logistic":
        p = _elementwise(activations.logistic, z)
        return p, p * (1 - p)
    if name == "exp":
        p = np.exp(z)
        return p, p
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p[:, :, np.newaxis] * (np.eye(p.shape[1]) - p[:, np.newaxis, :])


class _Signals:
    """What goes back, for each example.

    Parameters
    ----------
    plan : TrainingPlan
    T : ndarray of shape (n_examples, n_outputs)
        The targets.
    """

    def __init__(self, plan: TrainingPlan, T: np.ndarray) -> None:
        self._plan, self._T = plan, T.astype(np.float64)

    def go_back(self, values: _Values) -> None:
        """Compute the losses, and all error signals from the last layer to the inputs."""
        n_layers, P = len(values.W), values.inputs[-1]
        self.dL_dh = [np.empty(0)] * n_layers
        self.dL_dz = [np.empty(0)] * n_layers
        self.losses, of_outputs, deltas = self._of_outputs(P, values.slopes[-1])
        self.dL_dh[-1], self.dL_dz[-1] = of_outputs, deltas
        for number in range(n_layers - 1, 0, -1):
            signal = self.dL_dz[number] @ values.W[number].T
            self.dL_dh[number - 1] = signal
            self.dL_dz[number - 1] = signal * values.slopes[number - 1]
        self.dL_dx = self.dL_dz[0] @ values.W[0].T

    def _of_outputs(
        self, P: np.ndarray, slopes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return losses, and their derivatives for predictions and for pre-activations."""
        plan, T, loss = self._plan, self._T, Loss(self._plan.loss)
        if loss == Loss.MARGIN:
            return _margin(T, P, plan.loss_parameters[0], slopes)
        more: Sequence[np.ndarray] = ()
        if plan.custom_loss is not None:
            value, delta = plan.custom_loss
        else:
            value, delta = losses.value_of(loss), losses.delta_of(loss)
            if loss.has_parameter or loss.clips_probabilities:
                more = (np.broadcast_to(plan.row_loss_parameters(), P.shape),)
        found = _elementwise(value, T, P, *more).sum(axis=1)
        deltas = _elementwise(delta, T, P, *(more if loss.has_parameter else ()))
        if loss == Loss.CROSS_ENTROPY:
            return found, -_quotient(T, P), deltas
        return found, _quotient(deltas, slopes), deltas


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Divide; where a probability is 0 or 1 in float64, its clipped loss changes no more."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _margin(
    T: np.ndarray, P: np.ndarray, rho: float, jacobians: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what :meth:`_Signals._of_outputs` does, for the margin loss of a softmax."""
    rows, own = np.arange(len(P)), T.argmax(axis=1)
    others = np.where(T > 0, -np.inf, P).argmax(axis=1)
    pairs = P[rows, own], P[rows, others]
    found = _elementwise(lambda a, b: losses.margin(a, b, rho), *pairs)
    slope = _elementwise(lambda a, b: losses.margin_slope(a, b, rho), *pairs)
    signal = np.zeros_like(P)
    signal[rows, own], signal[rows, others] = -slope, slope
    return found, signal, np.einsum("nj,njk->nk", signal, jacobians)


def _layer(
    plan: TrainingPlan, values: _Values, signals: _Signals, number: int, shares: np.ndarray,
    total: float,
) -> TracedLayer:  # fmt: skip
    """Return one layer, with the means over examples that the shares say."""
    W, dL_dz = values.W[number], signals.dL_dz[number]
    weighted = shares[:, np.newaxis] * dL_dz
    return TracedLayer(
        activation=values.names[number],
        W=W.copy(),
        b=values.b[number].copy(),
        z=shares @ values.z[number],
        h=shares @ values.inputs[number + 1],
        dh_dz=np.tensordot(shares, values.slopes[number], axes=1),
        dL_dh=shares @ signals.dL_dh[number],
        dL_dz=shares @ dL_dz,
        dL_dW=values.inputs[number].T @ weighted,
        dL_db=weighted.sum(axis=0),
        penalty_dW=(plan.alpha * W + plan.l1 * np.sign(W)) / total,
    )


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
