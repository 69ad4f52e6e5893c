"""Fits as transactions: a reader of an estimator meets one state of it, never a mixture of two.

A fit works on a draft, and the estimator gets all of its fitted attributes at once when the fit
ends. While a callback runs the estimator has those of the epoch that has just ended. They are made
when the first of them is read, since it takes time to copy the weights of a network.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..engines.forks import hold_at_fork

_Estimator = TypeVar("_Estimator")

# The attribute with the epoch that an estimator shows while a callback runs.
_SHOWN = "_shown_epoch"
_MISSING = object()
# Held while attributes of an epoch are made or exchanged.
_lock = threading.RLock()
hold_at_fork(_lock)

# ``complete(estimator, is_copied)`` sets on a copy of the draft what is known only after an epoch.
Complete = Callable[[Any, bool], None]


class _ShownEpoch:
    """The fitted attributes of an estimator after an epoch, made when the first one is read.

    A reader in another thread may come when the callback has returned. It then gets what was read
    while the callback ran, or else the attributes of before, so that all of its reads agree.

    Parameters
    ----------
    draft : estimator
    names : set of str
        The attributes that a fit changes.
    complete : callable
    former : dict of str to object
        The attributes that the estimator has had before.
    """

    def __init__(
        self, draft: Any, names: set[str], complete: Complete, former: dict[str, Any]
    ) -> None:
        self.names = names
        self._draft, self._complete = draft, complete
        self._former = {name: former[name] for name in names if name in former}
        self._state: dict[str, Any] | None = None
        self._is_over = False

    def _made(self, is_copied: bool) -> dict[str, Any]:
        estimator = _with_attributes(self._draft, dict(vars(self._draft)))
        self._complete(estimator, is_copied)
        return {name: value for name, value in vars(estimator).items() if name in self.names}

    def state(self, is_copied: bool = False) -> dict[str, Any]:
        """Return the fitted attributes.

        Parameters
        ----------
        is_copied : bool, default=False
            Whether the estimator is copied or pickled: then the optimiser's memory, which is as
            large as the weights, belongs to the attributes.
        """
        with _lock:
            if is_copied and not self._is_over:
                return self._made(is_copied)
            if self._state is None:
                self._state = self._former if self._is_over else self._made(is_copied)
            return self._state

    def end(self) -> dict[str, Any]:
        """Return the attributes that the estimator has from now on."""
        with _lock:
            self._is_over = True
            return self._former if self._state is None else self._state


class Transaction:
    """One fit of an estimator.

    Parameters
    ----------
    estimator : estimator with :class:`WholeReads`
    ends : tuple of str
        The attributes that are set after an epoch or at the end of the fit.

    Attributes
    ----------
    draft : estimator
        A shallow copy of the estimator, whose attributes a fit sets.

    Raises
    ------
    ValueError
        When a callback of the estimator's own fit is running.
    """

    def __init__(self, estimator: Any, ends: tuple[str, ...]) -> None:
        if _SHOWN in vars(estimator):
            raise ValueError(
                "an estimator cannot be fitted in a callback of its own fit; fit a copy.deepcopy"
            )
        self._estimator, self._ends = estimator, ends
        self._before = dict(vars(estimator))
        self._shown: set[str] = set()
        self.draft = _with_attributes(estimator, dict(self._before))

    def _changed(self) -> set[str]:
        before, draft = self._before, vars(self.draft)
        new = {name for name, value in draft.items() if before.get(name, _MISSING) is not value}
        return new | (before.keys() - draft.keys())

    def show(self, complete: Complete, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function while the estimator has the attributes of an epoch that has just ended.

        Parameters
        ----------
        complete : callable
            It sets these attributes on a copy of the draft. It is called where one is read.
        function : callable
        *args
            Its arguments.

        Returns
        -------
        object
            What the function returns.

        Raises
        ------
        ValueError
            When the function has assigned an attribute that training sets.
        """
        estimator = self._estimator
        names = self._shown = self._shown or self._changed() | {*self._ends}
        attributes = vars(estimator)
        epoch = _ShownEpoch(self.draft, names, complete, attributes)
        # To replace the whole dict is one step for all other threads.
        estimator.__dict__ = {**_without(attributes, names), _SHOWN: epoch}
        try:
            result = function(*args)
            assigned = names & vars(estimator).keys()
            if assigned:
                self._check_assigned(assigned)
            return result
        finally:
            kept = _without(vars(estimator), names)
            kept.pop(_SHOWN, None)
            kept.update(epoch.end())
            estimator.__dict__ = kept

    def _check_assigned(self, assigned: set[str]) -> None:
        trained = assigned & (vars(self.draft).keys() | {*self._ends})
        if trained:
            raise ValueError(
                f"a callback has assigned {', '.join(sorted(trained))}, which training would not "
                "see; end training by returning True, and assign after fit"
            )
        for name in assigned:  # one of the user's own, which the fit has only removed
            self._shown.remove(name)
            del self._before[name]

    def commit(self) -> None:
        """Give the estimator what the fit has set in the draft."""
        self._replace(self._changed() | self._shown, vars(self.draft))

    def rollback(self) -> None:
        """Give the estimator its former attributes, where a callback has seen others."""
        if self._shown:
            self._replace(self._shown, self._before)

    def _replace(self, names: set[str], source: dict[str, Any]) -> None:
        names = names | {_SHOWN}
        kept = _without(vars(self._estimator), names)
        new = {k: v for k, v in source.items() if k in names}
        self._estimator.__dict__ = {**kept, **new}


class WholeReads:
    """What an estimator needs so that its fits can be transactions."""

    if not TYPE_CHECKING:  # a type checker shall know which attributes there are

        def __getattr__(self, name: str) -> Any:
            epoch = self.__dict__.get(_SHOWN)
            if epoch is not None and name in epoch.names:
                state = epoch.state()
                if name in state:
                    return state[name]
            # Raises the error that has led here, whose message a property may have written.
            return object.__getattribute__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        epoch = state.pop(_SHOWN, None)
        if epoch is not None:
            state |= epoch.state(is_copied=True)
        return state


def whole(estimator: _Estimator) -> _Estimator:
    """Return an estimator with the attributes that another one has at this moment.

    All reads of the result agree, whatever a fit in another thread does to the given one.
    """
    return _with_attributes(estimator, vars(estimator))


def _without(attributes: dict[str, Any], names: set[str]) -> dict[str, Any]:
    result = attributes.copy()
    for name in names:
        result.pop(name, None)
    return result


def _with_attributes(estimator: _Estimator, attributes: dict[str, Any]) -> _Estimator:
    result = object.__new__(type(estimator))
    result.__dict__ = attributes
    return result
