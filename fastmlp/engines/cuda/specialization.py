"""What of all formulas and phases kernels are compiled with: as few as a plan needs.

An ordinary plan pays nothing for options that it does not have. Networks that train together
in one launch share kernels with what any of them needs; each then finds its own in its tables.
"""

from dataclasses import dataclass
from math import inf

from ...network.plan import OUTPUT_ACTIVATIONS, PREDICTION_LOSSES, Loss, keeps_derivatives


@dataclass(frozen=True)
class Choices:
    """What kernels can do.

    Parameters
    ----------
    activations : frozenset of Activation
        Of hidden layers.
    losses : frozenset of Loss
    optimizers : frozenset of Optimizer
    custom_loss : tuple of functions or None
    keeps_derivatives : bool
        Whether the forward pass may leave derivatives for the backward pass.
    drops_units, penalises_absolutes, clips_values, decays_weights : bool
        Dropout, L1 penalty, a limit of the gradient's elements, weight decay.
    measures_gradients : bool
        Whether the norms of gradients may be wanted.
    clips_norms, limits_columns : bool
        Limits of the gradient's norm, and of units' incoming weights: further phases of a step.
    """

    activations: frozenset
    losses: frozenset
    optimizers: frozenset = frozenset()
    custom_loss: tuple | None = None
    keeps_derivatives: bool = False
    drops_units: bool = False
    penalises_absolutes: bool = False
    clips_values: bool = False
    decays_weights: bool = False
    measures_gradients: bool = False
    clips_norms: bool = False
    limits_columns: bool = False

    def key(self):
        """What tells these choices from others, the same in every process."""
        sets = (sorted(map(int, s)) for s in (self.activations, self.losses, self.optimizers))
        return *map(tuple, sets), *(getattr(self, name) for name in _FLAGS)

    def __or__(self, other):
        """What either can do; both have the same custom loss."""
        return Choices(
            self.activations | other.activations,
            self.losses | other.losses,
            self.optimizers | other.optimizers,
            self.custom_loss,
            *(getattr(self, name) or getattr(other, name) for name in _FLAGS),
        )


_FLAGS = [name for name, field in Choices.__dataclass_fields__.items() if field.type is bool]


def training_choices(plan):
    """What the training of a plan needs."""
    return Choices(
        activations=frozenset(plan.activations),
        losses=frozenset([Loss(plan.loss)]),
        optimizers=frozenset([plan.optimizer]),
        custom_loss=plan.custom_loss,
        keeps_derivatives=any(map(keeps_derivatives, plan.activations, plan.dropouts)),
        drops_units=max(plan.dropouts, default=0) > 0,
        penalises_absolutes=plan.l1 > 0,
        clips_values=plan.clip_value < inf,
        decays_weights=plan.weight_decay > 0,
        measures_gradients=plan.needs_gradient_norm,
        clips_norms=plan.clip_norm < inf,
        limits_columns=plan.max_norm < inf,
    )


def prediction_choices(plan):
    """What predictions need."""
    loss = PREDICTION_LOSSES[OUTPUT_ACTIVATIONS[plan.loss]]
    return Choices(frozenset(plan.activations), frozenset([loss]))
