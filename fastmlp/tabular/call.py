"""What one call of ``fit`` of an estimator for tables is given."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from ..estimators.transaction import Transaction
from ..training.history import Epoch
from ..training.keeping import Place

# It is told of each epoch of a single network, or of each network of a pack.
Callback: TypeAlias = Callable[[Any], Any]


@dataclass
class TableFit:
    """What one call of ``fit`` is given, and the warnings that it will end with."""

    transaction: Transaction
    began: float
    time_limit: float | None
    callback: Callback | None
    sample_weight: Any
    place: Place | None = None
    warnings: list[Warning] = field(default_factory=list)

    def is_over(self, seconds: float = 0.0) -> bool:
        """Tell whether the limit of time is reached before so many seconds have gone by."""
        limit = self.time_limit
        return limit is not None and time.perf_counter() - self.began + seconds > limit

    def tell(self, complete: Callable[[Any, Any, bool], None], told: Any) -> bool:
        """Tell the callback of an epoch or of a member, and return whether training shall end.

        Parameters
        ----------
        complete : callable
            ``complete(told, estimator, is_copied)`` sets the attributes that are known only now.
        told : Epoch or MemberDone
        """
        assert self.callback is not None
        stop = self.transaction.show(partial(complete, told), self.callback, told)
        return bool(stop) or self.is_over()


class Clock:
    """A callback that ends the training of a network at the limit of time."""

    sees_estimator = False

    def __init__(self, fit: TableFit) -> None:
        self._fit = fit

    def __call__(self, epoch: Epoch) -> bool:
        """Tell whether the next epoch would take too long."""
        return self._fit.is_over(epoch.seconds / epoch.epoch)


def with_network(draft: Any, trained: Any) -> Any:
    """Return a fitted copy of the draft of an estimator, with a network or pack inside it."""
    model = copy.copy(draft)
    model.estimator_, model.n_iter_ = trained, trained.n_iter_
    return model
