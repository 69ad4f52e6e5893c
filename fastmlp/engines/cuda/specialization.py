"""What a kernel is compiled for: the formulas and phases of the plans that it serves, no others.

An ordinary plan pays nothing for options that it does not have. Networks that train together
in one launch share a kernel with everything that any of them needs, and each finds its own part
by its tables.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import wraps
from math import inf

from ...network.plan import OUTPUT_ACTIVATIONS, PREDICTION_LOSSES, Loss, keeps_derivatives


@dataclass(frozen=True)
class Specialization:
    """What kernels can do.

    Parameters
    ----------
    activations : frozenset of Activation
        Of hidden layers.
    losses : frozenset of Loss
    optimizers : frozenset of Optimizer
    custom_loss : tuple of functions or None
        Value and derivative.
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
        """Return what tells this from other specializations, the same in every process."""
        sets = (sorted(map(int, s)) for s in (self.activations, self.losses, self.optimizers))
        return *map(tuple, sets), *(getattr(self, name) for name in _FLAGS)

    def __or__(self, other):
        """Combine what either can do; both have the same custom loss."""
        return Specialization(
            self.activations | other.activations,
            self.losses | other.losses,
            self.optimizers | other.optimizers,
            self.custom_loss,
            *(getattr(self, name) or getattr(other, name) for name in _FLAGS),
        )

    def without_custom_loss(self):
        """Return a copy for functions that do not depend on the loss."""
        return replace(self, custom_loss=None)


_FLAGS = [name for name, field in Specialization.__dataclass_fields__.items() if field.type is bool]


def training_specialization(plan):
    """Return what the training of a plan needs."""
    return Specialization(
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


def prediction_specialization(plan):
    """Return what predictions of a plan need."""
    loss = PREDICTION_LOSSES[OUTPUT_ACTIVATIONS[plan.loss]]
    return Specialization(frozenset(plan.activations), frozenset([loss]))


# Custom losses whose kernels are kept, as many as the CPU keeps: a search over losses that are
# made anew each time would fill the device with machine code.
_MOST_CUSTOM_LOSSES = 16
_made = {}  # what was made for specializations without a custom loss, by function and arguments
_made_for_custom = OrderedDict()  # the same by custom loss, the one that was used last at the end


def remember(custom_loss, make, *arguments):
    """The result of a call, or what it was when it was called before for the same custom loss.

    Results for the 16 custom losses that were used last are kept. Forgetting frees nothing that is
    in use: engines refer to their kernels, and these to their device functions. Callers take turns
    (see :func:`fastmlp.engines.cuda.network.one_at_a_time`).

    Parameters
    ----------
    custom_loss : tuple of functions or None
    make : callable
    *arguments : hashable
    """
    made = _made
    if custom_loss is not None:
        made = _made_for_custom.setdefault(custom_loss, {})
        _made_for_custom.move_to_end(custom_loss)
        while len(_made_for_custom) > _MOST_CUSTOM_LOSSES:
            _made_for_custom.popitem(last=False)
    key = make, *arguments
    if key not in made:
        made[key] = make(*arguments)
    return made[key]


def specialized(make):
    """Decorates a function that makes kernels or device functions for a specialization.

    They are made once, and kept as :func:`remember` does. One of the arguments is the
    :class:`Specialization`.
    """

    @wraps(make)
    def made_once(*arguments):
        (specialization,) = (one for one in arguments if isinstance(one, Specialization))
        return remember(specialization.custom_loss, make, *arguments)

    return made_once
