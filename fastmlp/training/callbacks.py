"""Who is told of each epoch: the callback of a fit, and callbacks in scikit-learn's protocol."""

from contextlib import contextmanager


class Listener:
    """Tells everyone of each epoch, and asks whether to go on.

    Parameters
    ----------
    callback : callable or None
        Called with a :class:`fastmlp.training.loop.Epoch`; training stops when it returns True.
    """

    def __init__(self, callback=None):
        self._callback = callback

    def epoch_begins(self):
        """Before the first batch of an epoch."""

    def epoch_ends(self, epoch, attributes):
        """After an epoch.

        Parameters
        ----------
        epoch : Epoch
        attributes : callable
            Returns what a fitted estimator needs to predict with the current parameters, as a
            dict of attributes. Called only when someone asks.

        Returns
        -------
        stop : bool
        """
        return self._callback is not None and bool(self._callback(epoch))


class SklearnListener(Listener):
    """A listener that also serves the callbacks set by ``set_callbacks``.

    Each epoch is a task below the estimator's root task (see :mod:`sklearn.callback`).

    Parameters
    ----------
    callback : callable or None
    estimator : estimator
    context : sklearn.callback.CallbackContext
        Of the root task.
    X, y : array-like
        As given to ``fit``.
    sample_weight : array-like or None
    """

    def __init__(self, callback, estimator, context, X, y, sample_weight):
        super().__init__(callback)
        self._context = context
        self._task = None
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._shared = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}

    def epoch_begins(self):
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._shared)

    def epoch_ends(self, epoch, attributes):
        told_to_stop = super().epoch_ends(epoch, attributes)
        task, self._task = self._task, None
        return (
            task.call_on_fit_task_end(**self._shared, reconstruction_attributes=attributes)
            or told_to_stop
        )

    def fit_begins(self):
        """Before the first epoch."""
        self._context.call_on_fit_task_begin(**self._shared)

    def fit_ends(self):
        """When the estimator is fitted."""
        if self._task is not None:  # an epoch that began and did not end
            self._task.call_on_fit_task_end(estimator=self._shared["estimator"])
        self._context.call_on_fit_task_end(**self._shared, reconstruction_attributes={})


@contextmanager
def listening(estimator, callback, X, y, sample_weight):
    """The listener of one call to ``fit``, while that runs.

    Parameters
    ----------
    estimator : BaseMLP
    callback : callable or None
    X, y, sample_weight
        As given to ``fit``.

    Yields
    ------
    Listener
    """
    context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
    if not hasattr(estimator, "_skl_callbacks"):
        yield Listener(callback)
        return
    listener = SklearnListener(callback, estimator, context, X, y, sample_weight)
    listener.fit_begins()
    yield listener
    listener.fit_ends()
