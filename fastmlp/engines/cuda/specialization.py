"""The formulas and phases that a kernel is compiled with: those that its plans need, no others.

A plan pays nothing for options that it does not use. Networks that train together in one launch
share a kernel that has everything that any of them needs; the layer table and the settings of each
network say which part of it applies.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import wraps
from math import inf
from typing import Any, TypeVar

from ...network.plan import (
    OUTPUT_ACTIVATIONS,
    PREDICTION_LOSSES,
    Activation,
    Loss,
    LossFunctions,
    Optimizer,
    TrainingPlan,
    keeps_derivatives,
)
from ..custom_functions import MOST_KEPT

Result = TypeVar("Result")


@dataclass(frozen=True)
class Specialization:
    """The options that a kernel is compiled with.

    Parameters
    ----------
    activations : frozenset of Activation
        Activations of hidden layers.
    losses : frozenset of Loss
    optimizers : frozenset of Optimizer
    custom_loss : tuple of functions or None
        Value and derivative of a custom loss.
    keeps_derivatives : bool
        Whether the forward pass stores derivatives for the backward pass.
    drops_units : bool
        Whether there is dropout.
    penalises_absolutes : bool
        Whether there is an L1 penalty.
    clips_values : bool
        Whether the gradient's elements are limited.
    decays_weights : bool
        Whether there is weight decay.
    needs_gradient_norm : bool
        Whether the norm of the gradient is computed.
    clips_norms : bool
        Whether the norm of the gradient is limited, which is a further phase of a step.
    limits_columns : bool
        Whether the norms of units' incoming weights are limited, which is a further phase, too.
    """

    activations: frozenset[Activation]
    losses: frozenset[Loss]
    optimizers: frozenset[Optimizer] = frozenset()
    custom_loss: LossFunctions | None = None
    keeps_derivatives: bool = False
    drops_units: bool = False
    penalises_absolutes: bool = False
    clips_values: bool = False
    decays_weights: bool = False
    needs_gradient_norm: bool = False
    clips_norms: bool = False
    limits_columns: bool = False

    def key(self) -> tuple[Hashable, ...]:
        """Return a key for caches on disk, which is the same in every process.

        It leaves out the custom loss, since kernels with one are not kept on disk.
        """
        sets = (sorted(map(int, s)) for s in (self.activations, self.losses, self.optimizers))
        return *map(tuple, sets), *(getattr(self, name) for name in _FLAGS)

    def __or__(self, other: "Specialization") -> "Specialization":
        """Combine the options of two specializations that have the same custom loss."""
        return Specialization(
            self.activations | other.activations,
            self.losses | other.losses,
            self.optimizers | other.optimizers,
            self.custom_loss,
            *(getattr(self, name) or getattr(other, name) for name in _FLAGS),
        )

    def without_custom_loss(self) -> "Specialization":
        """Return a copy without the custom loss, for functions that do not depend on it."""
        return replace(self, custom_loss=None)


_FLAGS = [name for name, field in Specialization.__dataclass_fields__.items() if field.type is bool]


def training_specialization(plan: TrainingPlan) -> Specialization:
    """Return the specialization of the kernels that train a plan."""
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
        needs_gradient_norm=plan.needs_gradient_norm,
        clips_norms=plan.clip_norm < inf,
        limits_columns=plan.max_norm < inf,
    )


def prediction_specialization(plan: TrainingPlan) -> Specialization:
    """Return the specialization of the kernel that predicts with a plan."""
    loss = PREDICTION_LOSSES[OUTPUT_ACTIVATIONS[plan.loss]]
    return Specialization(frozenset(plan.activations), frozenset([loss]))


def gradient_specialization(plan: TrainingPlan) -> Specialization:
    """Return the specialization of the kernel that computes input gradients of a plan."""
    keeps = any(keeps_derivatives(activation, 0.0) for activation in plan.activations)
    return replace(prediction_specialization(plan), keeps_derivatives=keeps)


# Without a limit for custom losses, a search over losses that are made anew each time would fill
# the device with machine code.
_Made = dict[tuple[Any, ...], Any]
# Results of functions that do not depend on a custom loss, by function and arguments.
_made: _Made = {}
# Results of the others, by custom loss; the one that was used last is at the end.
_made_for_custom: OrderedDict[LossFunctions, _Made] = OrderedDict()


def remember(
    custom_loss: LossFunctions | None, make: Callable[..., Result], *arguments: Hashable
) -> Result:
    """Call a function, or return the result of an earlier call with the same arguments.

    Results for the 16 custom losses that were used last are kept. Forgetting frees nothing that is
    in use: engines refer to their kernels, and these to their device functions. Threads must take
    turns to call this (see :func:`fastmlp.engines.cuda.network.one_at_a_time`).

    Parameters
    ----------
    custom_loss : tuple of functions or None
        The custom loss that the result depends on.
    make : callable
    *arguments : hashable
        The arguments of `make`.

    Returns
    -------
    object
        The result of `make`.
    """
    made = _made
    if custom_loss is not None:
        made = _made_for_custom.setdefault(custom_loss, {})
        _made_for_custom.move_to_end(custom_loss)
        while len(_made_for_custom) > MOST_KEPT:
            _made_for_custom.popitem(last=False)
    key = make, *arguments
    if key not in made:
        made[key] = make(*arguments)
    return made[key]


def is_remembered(custom_loss: LossFunctions) -> bool:
    """Tell whether :func:`remember` still keeps results for a custom loss."""
    return custom_loss in _made_for_custom


def specialized(make: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a function that makes kernels or device functions for a specialization.

    The function is called once for the same arguments; :func:`remember` keeps what it returns.

    Parameters
    ----------
    make : callable
        Exactly one of its arguments is a :class:`Specialization`.

    Returns
    -------
    callable
    """

    @wraps(make)
    def made_once(*arguments: Any) -> Result:
        (specialization,) = (one for one in arguments if isinstance(one, Specialization))
        return remember(specialization.custom_loss, make, *arguments)

    return made_once
