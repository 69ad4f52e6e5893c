"""Targets: how labels and numbers become the matrix that a network learns, and back.

The classifier and the regressor each have a class of targets. A fit asks their object for
everything that differs between classes and numbers.
"""

from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from ..network.plan import Loss, LossFunctions

Weight: TypeAlias = np.ndarray | None


class Targets(Protocol):
    """What a fit needs to know about its targets.

    Attributes
    ----------
    is_numeric : bool
        Whether y has to be numbers.
    is_learned : bool
        Whether :meth:`encode` can be called: all that has to be learned of y was learned.
    is_scored_alone : bool
        Whether one row is enough for a score.
    needs_scale : bool
        Whether it is advisable to standardise y, like X.
    loss : Loss
        The loss that training minimises.
    custom_loss : tuple of functions or None
        See :class:`fastmlp.network.plan.TrainingPlan`.
    """

    is_numeric: bool
    is_scored_alone: bool
    needs_scale: bool

    @property
    def is_learned(self) -> bool:
        """Whether :meth:`encode` can be called."""

    @property
    def loss(self) -> Loss:
        """The loss that training minimises."""

    @property
    def custom_loss(self) -> LossFunctions | None:
        """The functions of a custom loss."""

    def loss_parameters(self, n_outputs: int) -> tuple[float, ...]:
        """Return the parameter of the loss for each output, or () where it has none."""

    def learned_from(self, y: np.ndarray) -> Self:
        """Return targets that have learned what they need of y, such as its classes."""

    def check_known(self, y: np.ndarray, all_required: bool) -> None:
        """Raise ValueError unless y fits what was learned."""

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return y as a matrix of shape (n_rows, n_outputs)."""

    def to_train(self, Y: np.ndarray) -> np.ndarray:
        """Return the matrix that the network is trained on, for an encoded one."""

    def row_weight(
        self,
        y: np.ndarray,
        sample_weight: Weight,
        incremental: bool = False,
        counted: tuple[np.ndarray, Weight] | None = None,
    ) -> Weight:
        """Return the weight of each row in the loss."""

    def score(self, Y: np.ndarray, outputs: np.ndarray, sample_weight: Weight) -> float:
        """Compute the score of outputs: the higher the better."""

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """Return the labels by which a validation split is stratified, or None."""

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold what was learned."""
