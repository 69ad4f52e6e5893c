"""Support of scikit-learn's callbacks, which are told of each epoch as ``fit``'s callback is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..training.callbacks import Callback, Listener, Reached
from ..training.history import Epoch
from ._sklearn import begin_callbacks, has_callbacks
from .transaction import Transaction


class SklearnListener(Listener):
    """A listener that also tells the callbacks that ``set_callbacks`` has set.

    In terms of :mod:`sklearn.callback`, each epoch is a task below the estimator's root task.

    Parameters
    ----------
    callback : callable or None
        The callback of ``fit``.
    estimator : BaseMLP
    context : sklearn.callback.CallbackContext
        The context of the root task.
    X, y, sample_weight
        The arguments of ``fit``.
    """

    def __init__(
        self,
        callback: Callback | None,
        estimator: Any,
        context: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
    ) -> None:
        super().__init__(callback)
        self._context = context
        self._task: Any = None
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._shared = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    sees_estimator = is_told = True

    def epoch_begins(self, reached: Reached) -> None:
        """Begin the task of an epoch."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._shared)

    def epoch_ends(self, epoch: Epoch, reached: Reached) -> bool:
        """End the task of an epoch; see :meth:`Listener.epoch_ends`."""
        is_stop_requested = super().epoch_ends(epoch, reached)
        task, self._task = self._task, None
        return (
            task.call_on_fit_task_end(**self._shared, reconstruction_attributes={})
            or is_stop_requested
        )

    def fit_begins(self) -> None:
        """Begin the root task."""
        self._context.call_on_fit_task_begin(**self._shared)

    def fit_ends(self) -> None:
        """End the root task, when the estimator is fitted."""
        if self._task is not None:  # an epoch has begun and not ended
            self._task.call_on_fit_task_end(estimator=self._shared["estimator"])
        self._context.call_on_fit_task_end(**self._shared, reconstruction_attributes={})


class Showing(Listener):
    """Passes epochs on to a listener, while the estimator is as it would be if training ended.

    Parameters
    ----------
    listener : Listener
    transaction : Transaction
        The fit that goes on.
    complete : callable
        ``complete(reached, estimator, is_copied)`` sets the attributes of a fitted estimator; see
        :meth:`Transaction.show`.
    """

    def __init__(
        self,
        listener: Listener,
        transaction: Transaction,
        complete: Callable[[Reached, Any, bool], None],
    ) -> None:
        self._listener, self._transaction, self._complete = listener, transaction, complete

    is_told = True

    def epoch_begins(self, reached: Reached) -> None:
        """See :meth:`Listener.epoch_begins`."""
        if isinstance(self._listener, SklearnListener):
            complete = partial(self._complete, reached)
            self._transaction.show(complete, self._listener.epoch_begins, reached)

    def epoch_ends(self, epoch: Epoch, reached: Reached) -> bool:
        """See :meth:`Listener.epoch_ends`."""
        complete = partial(self._complete, reached)
        stop: bool = self._transaction.show(complete, self._listener.epoch_ends, epoch, reached)
        return stop


@contextmanager
def listening(
    estimator: Any, callback: Callback | None, X: Any, y: Any, sample_weight: Any
) -> Iterator[Listener]:
    """Provide the listener of one call of ``fit`` while that runs.

    Parameters
    ----------
    estimator : BaseMLP
    callback : callable or None
    X, y, sample_weight
        The arguments of ``fit``.

    Yields
    ------
    Listener
    """
    context = begin_callbacks(estimator, estimator.max_iter)
    if not has_callbacks(estimator):
        yield Listener(callback)
        return
    listener = SklearnListener(callback, estimator, context, X, y, sample_weight)
    listener.fit_begins()
    yield listener
    listener.fit_ends()
