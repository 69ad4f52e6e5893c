"""Numbers to the matrix that a network is trained on, and how good predictions of them are."""

from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.metrics import d2_pinball_score, r2_score

from ..network.plan import Loss, LossFunctions
from .targets import Weight


class RegressionTargets:
    """Numbers, as values or as quantiles to predict.

    Parameters
    ----------
    loss : str or pair of functions
    huber_delta : float
        Limit of the Huber loss.
    quantiles : float or sequence of float
        Levels of the quantile loss.

    Raises
    ------
    ValueError
        When a custom loss is no pair of functions, or when the levels are not in (0, 1) or not in
        increasing order.
    """

    is_numeric = True
    is_learned = True
    is_scored_alone = False
    needs_scale = True

    def __init__(self, loss: Any, huber_delta: float = 1.0, quantiles: Any = 0.5) -> None:
        self._loss = loss
        self._huber_delta = float(huber_delta)
        self.custom_loss = None if isinstance(loss, str) else _checked_pair(loss)
        is_quantile = isinstance(loss, str) and loss == "quantile"
        self.quantile_levels = _checked_levels(quantiles) if is_quantile else ()

    @property
    def loss(self) -> Loss:
        """The loss that the parameter names, or ``CUSTOM``."""
        return Loss.CUSTOM if self.custom_loss is not None else Loss[self._loss.upper()]

    def loss_parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the limit of the Huber loss or the level of the quantile loss, for each output."""
        if self._loss == "huber":
            return (self._huber_delta,) * n_outputs
        levels = self.quantile_levels
        return levels * n_outputs if len(levels) == 1 else levels

    def learned_from(self, y: np.ndarray) -> Self:
        """Return these targets, since they learn nothing of y."""
        return self

    def check_known(self, y: np.ndarray, all_required: bool) -> None:
        """Accept any y, since nothing was learned."""

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return y as a matrix, with a column for each quantile where there are several.

        Raises
        ------
        ValueError
            When y is negative with the Poisson loss, or has several columns with several quantiles.
        """
        if self._loss == "poisson" and y.min() < 0:
            raise ValueError(
                "Some value(s) of y are negative, which is not possible for loss='poisson'; "
                "use loss='squared_error'"
            )
        Y = y.reshape(len(y), -1)
        n_levels = len(self.quantile_levels)
        if n_levels < 2:
            return Y
        if Y.shape[1] > 1:
            raise ValueError(
                f"several quantiles are for y of one column, got {Y.shape[1]}; fit a model for each"
            )
        return np.repeat(Y, n_levels, axis=1)

    def to_train(self, Y: np.ndarray) -> np.ndarray:
        """Return the matrix itself."""
        return Y

    def row_weight(
        self,
        y: np.ndarray,
        sample_weight: Weight,
        incremental: bool = False,
        counted: tuple[np.ndarray, Weight] | None = None,
    ) -> Weight:
        """Return the weights of the rows as they are."""
        return sample_weight

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute R^2, or for several quantiles the mean of their D^2 pinball scores."""
        if len(self.quantile_levels) > 1:
            outputs = np.sort(outputs, axis=1)
            return quantile_score(Y[:, 0], outputs, self.quantile_levels, sample_weight)
        return r2_score(Y, outputs, sample_weight=sample_weight)

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return None, since numbers are not stratified."""
        return None

    def attributes(self) -> dict[str, Any]:
        """Return the levels of the quantiles, which are () for other losses."""
        return {"_quantile_levels": self.quantile_levels}


def quantile_score(
    y: np.ndarray, predictions: np.ndarray, levels: tuple[float, ...], sample_weight: Weight
) -> float:
    """Compute the mean of the D^2 pinball scores of several quantiles.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
    predictions : ndarray of shape (n_rows, n_levels)
    levels : tuple of float
        The quantile of each column.
    sample_weight : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
        1 is perfect; 0 is the score of constant predictions, the quantiles of y.
    """
    scores = [
        d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
        for level, column in zip(levels, predictions.T, strict=True)
    ]
    return float(np.mean(scores))


def _checked_pair(functions: Any) -> LossFunctions:
    """Return the functions of a custom loss; raise ValueError unless it is a pair of functions."""
    if len(functions) != 2 or not all(map(callable, functions)):
        sizes = all(isinstance(part, Real) for part in functions)
        hint = "; did you mean hidden_layer_sizes=?" if sizes else ""
        raise ValueError(
            "a custom loss is a pair of functions (value, derivative) of target and "
            f"prediction, got {functions!r}{hint}"
        )
    return tuple(functions)


def _checked_levels(quantiles: Any) -> tuple[float, ...]:
    """Return levels of quantiles; raise ValueError unless they are in (0, 1) and increase."""
    levels = np.atleast_1d(quantiles)
    if not (
        levels.size
        and levels.ndim == 1
        and levels.dtype.kind == "f"
        and ((levels > 0) & (levels < 1)).all()
        and (np.diff(levels) > 0).all()
    ):
        raise ValueError(
            f"quantiles must be numbers in (0, 1), in increasing order, got {quantiles!r}"
        )
    return tuple(map(float, levels))
