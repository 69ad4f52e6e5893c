"""What the page shows of a network at one moment: surfaces, weights, gradients, dead units."""

from base64 import b64encode
from functools import partial
from typing import Any

import numpy as np

from ..engines.devices import predict
from ..engines.engine import Data
from ..estimators.gradient_check import analytic_gradient, objective_of
from ..estimators.trace import trace_of
from ..exceptions import InputError, collected_warnings
from ..network.inspection import dead_units, relu_layers
from ..network.plan import OUTPUT_ACTIVATIONS, Loss, TrainingPlan
from ..network.weights import flatten, views
from .data import RADIUS, Points, Split, inputs_at

# The picture of the outputs has this many pixels in a row; those of units have each third.
GRID = 60
_COARSE = 3
UNIT_GRID = GRID // _COARSE
# Points of the curve of a network on a line.
N_CURVE = 121
# A click this near to a point is one on the point.
_NEAR = 0.12

Array = np.ndarray


class Observer:
    """Looks at one network on one set of points.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        Its parameters count, and not its weights.
    points : Points
    features : list of str
        The inputs of the network.
    rows : Split
    """

    def __init__(self, model: Any, points: Points, features: list[str], rows: Split) -> None:
        self._model, self._points, self._features = model, points, features
        objective = objective_of(model, rows.X_train, rows.y_train)
        self._objective = objective
        self._trained_y, self._trained_classes = rows.y_train, np.unique(rows.y_train)
        self._predict = partial(_predict, model)
        self.places = plane() if not points.is_line else line()
        self.inputs = inputs_at(self.places, features)

    @property
    def plan(self) -> TrainingPlan:
        """The network's plan."""
        return self._objective.plan

    def features_shown(self) -> list[str]:
        """Return the picture of each input, as that of a unit."""
        return [self._unit_picture(column) for column in self.inputs.T]

    def look(self, theta: Array, wants_gradient: bool = True) -> dict[str, Any]:
        """Measure and draw a network.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
        wants_gradient : bool
            Whether the norms of the gradient are computed, too.

        Returns
        -------
        dict
            What becomes a part of the frame, with plain values.
        """
        if not np.isfinite(theta).all():
            return {"is_finite": False}
        layers = self.activations(theta, self.inputs)
        hidden, outputs = layers[:-1], layers[-1]
        coefs, intercepts = views(theta, self.plan.layer_units)
        found: dict[str, Any] = {
            "is_finite": True,
            "units": [[self._unit_picture(unit) for unit in layer.T] for layer in hidden],
            "weights": [rounded(matrix) for matrix in coefs],
            "biases": [rounded(vector) for vector in intercepts],
            "dead": self._dead(theta),
            **self._surface(outputs),
        }
        if wants_gradient:
            gradient = analytic_gradient(self._objective._replace(theta=theta))
            parts = views(gradient, self.plan.layer_units)[0]
            found["gradients"] = [_plain(np.linalg.norm(part)) for part in parts]
        return found

    def activations(self, theta: Array, inputs: Array) -> list[Array]:
        """Compute the activations of every layer after the first, for some rows.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
        inputs : ndarray of shape (n_rows, n_features)

        Returns
        -------
        list of ndarray of shape (n_rows, n_units)
            Hidden layers in their order, and then the outputs.
        """
        coefs, intercepts = views(theta, self.plan.layer_units)
        found, reached = [], inputs
        for i, kind in enumerate(self.plan.activations):
            # The layer, followed by one that passes on what it is given.
            width = coefs[i].shape[1]
            part = TrainingPlan(
                layer_units=(coefs[i].shape[0], width, width),
                activation=kind,
                loss=Loss.SQUARED_ERROR,
                optimizer=self.plan.optimizer,
            )
            passed = [coefs[i], np.eye(width)], [intercepts[i], np.zeros(width)]
            reached = self._predict(part, flatten(*passed, part.dtype), reached)
            found.append(reached)
        last = TrainingPlan(
            layer_units=self.plan.layer_units[-2:],
            activation=(),
            loss=self.plan.loss,
            optimizer=self.plan.optimizer,
        )
        theta_of_last = flatten(coefs[-1:], intercepts[-1:], last.dtype)
        return [*found, self._predict(last, theta_of_last, reached)]

    def point(self, theta: Array, place: list[float]) -> dict[str, Any]:
        """Tell what the network computes at one place, and what flows back from a point there.

        Parameters
        ----------
        theta : ndarray of shape (n_parameters,)
        place : list of two float
            On a line the second one is a height in the picture.

        Returns
        -------
        dict
            The place, its inputs and the activations of every layer. Where a point of the data
            lies, the place is that of the point, and 'point' has its target, its loss, and the
            error signals and gradients of every layer; it is None elsewhere, and where these
            are not finite or the target is a class that no trained row has.
        """
        points, at = self._points, np.array(place, float)
        shown = (
            np.column_stack([points.places[:, 0], points.y]) if points.is_line else points.places
        )
        distances = np.hypot(*(shown - at).T)
        nearest = int(distances.argmin())
        is_point = distances[nearest] <= _NEAR
        if is_point:
            at = points.places[nearest]
        inputs = inputs_at(at[np.newaxis], self._features)
        layers = self.activations(theta, inputs)
        return {
            "place": rounded(shown[nearest] if is_point else np.array(place, float)),
            "inputs": rounded(inputs[0]),
            "layers": [rounded(layer[0]) for layer in layers],
            "point": self._traced(theta, inputs, points.y[nearest]) if is_point else None,
        }

    def _traced(self, theta: Array, inputs: Array, y: Any) -> dict[str, Any] | None:
        """Return the target and loss of one point, and what flows back from them."""
        rows = self._objective.data.Y
        if self._points.classes:
            same = np.flatnonzero(self._trained_y == y)
            if not len(same):
                return None
            target = rows[same[:1]]
        else:
            target = np.array([[y]], float)
        objective = self._objective._replace(theta=theta, data=Data(inputs, target))
        try:
            # What is not finite, of a network that diverges, is looked for below.
            with np.errstate(all="ignore"), collected_warnings():
                graph = trace_of(objective)
        except InputError:  # an exponential of such weights
            return None
        if not np.isfinite(graph.loss):
            return None
        return {
            "target": self._points.classes[int(y)] if self._points.classes else _plain(y),
            "loss": _plain(graph.loss),
            "signals": [rounded(layer.dL_dz) for layer in graph.layers],
            "gradients": [rounded(layer.dL_dW.T) for layer in graph.layers],
        }

    def score(self, theta: Array, X: Array, y: Array) -> float | None:
        """Return the accuracy, or R² of a regression; None without rows."""
        if not len(y) or not np.isfinite(theta).all():
            return None
        outputs = self.activations(theta, X)[-1]
        if self._points.classes:
            chosen = (
                outputs.argmax(axis=1)
                if outputs.shape[1] > 1
                else (outputs[:, 0] > 0.5).astype(int)
            )
            return float((self._classes_at(chosen) == y).mean())
        spread = float(((y - y.mean()) ** 2).sum())
        return None if spread == 0 else _plain(1 - ((y - outputs[:, 0]) ** 2).sum() / spread)

    def _classes_at(self, outputs: Array) -> Array:
        """Return the classes of outputs; one that no trained row has is none of them."""
        return self._trained_classes[np.minimum(outputs, len(self._trained_classes) - 1)]

    def _dead(self, theta: Array) -> list[float | None]:
        """Return the share of dead units of each hidden layer; None for one that is not relu's."""
        shares: list[float | None] = [None] * (len(self.plan.layer_units) - 2)
        found = dead_units(self.plan, theta, self._objective.data.X, self._predict)
        for layer, share in zip(relu_layers(self.plan), found, strict=True):
            shares[layer] = share
        return shares

    def _surface(self, outputs: Array) -> dict[str, Any]:
        """Return the picture of the outputs, or the curve of a network on a line."""
        if self._points.is_line:
            return {"curve": rounded(outputs[:, 0])}
        if not self._points.classes:
            return {"surface": _bytes(0.5 + 0.5 * outputs[:, 0] / self._height)}
        if outputs.shape[1] == 1:
            return {"surface": _bytes(outputs[:, 0])}
        chosen = self._classes_at(outputs.argmax(axis=1))
        return {
            "surface": _bytes(outputs.max(axis=1)),
            "classes": b64encode(chosen.astype(np.uint8).tobytes()).decode(),
        }

    @property
    def _height(self) -> float:
        """The value of a regression that has the strongest colour."""
        return float(max(np.abs(self._points.y).max(), 1e-9))

    def _unit_picture(self, values: Array) -> str:
        """Draw what a unit gives all over the plane; the middle of the bytes is 0."""
        if not self._points.is_line:
            values = values.reshape(GRID, GRID)[::_COARSE, ::_COARSE].ravel()
        largest = np.abs(values).max()
        return _bytes(0.5 + 0.5 * values / (largest if largest > 0 else 1))


def _predict(model: Any, plan: TrainingPlan, theta: Array, X: Array) -> Array:
    return predict("cpu", plan, theta, X, model.n_jobs)


def plane() -> Array:
    """Return the places of the pixels of a picture, row by row from above, left to right."""
    steps = (np.arange(GRID) + 0.5) / GRID * 2 * RADIUS - RADIUS
    x1, x2 = np.meshgrid(steps, steps[::-1])
    return np.column_stack([x1.ravel(), x2.ravel()])


def line() -> Array:
    """Return the places of the points of a curve, from left to right."""
    x = np.linspace(-RADIUS, RADIUS, N_CURVE)
    return np.column_stack([x, np.zeros(N_CURVE)])


def output_activation(plan: TrainingPlan) -> str:
    """Return the name of the activation of the output layer."""
    return OUTPUT_ACTIVATIONS[Loss(plan.loss)]


def _bytes(values: Array) -> str:
    """Write numbers from 0 to 1 as bytes, in base64."""
    scaled = np.clip(np.nan_to_num(values) * 255, 0, 255)
    return b64encode(np.rint(scaled).astype(np.uint8).tobytes()).decode()


def rounded(values: Array) -> Any:
    """Return nested lists of numbers with four digits, which is what a page shows."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [_plain(value) for value in values.tolist()]


def _plain(value: Any) -> float | None:
    value = float(value)
    return float(f"{value:.4g}") if np.isfinite(value) else None
