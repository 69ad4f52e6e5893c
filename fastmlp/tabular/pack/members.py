"""What remains of a pack when it is trained: networks and weights, which predict."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...estimators.class_targets import class_probabilities
from ...estimators.prediction import outputs, outputs_of_all
from .tails import LogTarget

# What a network of a pack has beside its parameters.
_KEPT = {
    "coefs_", "intercepts_", "n_features_in_", "n_outputs_", "n_layers_", "n_iter_",
    "out_activation_", "classes_", "_label_binarizer", "_quantile_levels",
}  # fmt: skip
# Rows are predicted in parts, since the inputs of each kind are copied.
_ROWS_AT_A_TIME = 8192
# For so few rows, what is done beside the networks would take longer than these.
_FEW_ROWS = 64


class MemberDone(NamedTuple):
    """What a callback is told of each network of a pack that is trained.

    Parameters
    ----------
    kind : str
        Kind of the network.
    fold : int
        Number of the fold that it has not seen, from 0.
    done : int
        Number of networks that are trained.
    planned : int
        Number of networks that will be trained in all, these included. It can fall when kinds
        turn out to be of no use.
    score : float
        Negative loss on the fold: log loss, or root mean squared error in units of the target.
    seconds : float
        Time since the fit began.
    seconds_left : float
        Estimate of the time until its end.
    """

    kind: str
    fold: int
    done: int
    planned: int
    score: float
    seconds: float
    seconds_left: float


@dataclass
class Member:
    """One network of a pack.

    Parameters
    ----------
    kind : str
    fold : int
        Number of the fold that was held out.
    network : MLPClassifier or MLPRegressor
        A classifier predicts the number of a class in the pack's ``classes_``.
    start, stop : int
        The range of the inputs that it sees.
    score : float
        Loss on the fold.
    seconds : float
        Time of its training.
    log_target : tuple of float or None
        How the network's target was made of the pack's, as a :class:`LogTarget`, if it is not the
        same.
    """

    kind: str
    fold: int
    network: Any
    start: int
    stop: int
    score: float
    seconds: float
    log_target: tuple[float, float, float] | None = None


Member.__module__ = "fastmlp"  # where model files find it


class Pack:
    """Networks of several kinds, whose predictions are averaged.

    The members of a kind have equal weights, and the kinds those that were found on rows which the
    members have not seen.

    Parameters
    ----------
    members : list of Member
    weights : dict of str to float
        Weight of each kind; they sum to 1.
    classes : ndarray of shape (n_classes,), optional
        The labels of a classification.
    bounds : tuple of float, optional
        Lowest and highest prediction of each member of a regression.
    kinds : list of dict
        What each kind that was tried is like: 'kind', 'weight', 'folds', 'loss' (on held-out
        rows), 'epochs', 'seconds' and 'inputs'.
    loss : float
        Loss on the rows that members have not seen: log loss, or root mean squared error in units
        of the target.
    score : float
        Accuracy or R^2 on these rows.
    is_cut_short : bool
        Whether a limit of time or Ctrl-C left out networks that were planned.

    Attributes
    ----------
    n_iter_ : int
        Number of epochs that the members were trained, all together.
    classes_ : ndarray of shape (n_classes,)
        Defined only for a classification.
    """

    __module__ = "fastmlp"  # where model files find it

    def __init__(
        self,
        members: list[Member],
        weights: dict[str, float],
        *,
        classes: NDArray[Any] | None = None,
        bounds: tuple[float, float] | None = None,
        kinds: list[dict[str, Any]] | None = None,
        loss: float = np.nan,
        score: float = np.nan,
        is_cut_short: bool = False,
    ) -> None:
        self.members, self.weights, self.bounds = members, weights, bounds
        self.kinds = kinds or []
        self.loss, self.score, self.is_cut_short = loss, score, is_cut_short
        self.n_iter_ = sum(int(member.network.n_iter_) for member in members)
        if classes is not None:
            self.classes_ = classes

    def member_weights(self) -> list[float]:
        """Return the weight of each member: that of its kind, by the number of its members."""
        counts = Counter(member.kind for member in self.members)
        return [self.weights[member.kind] / counts[member.kind] for member in self.members]

    def predict_proba(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict the probability of each class.

        Parameters
        ----------
        inputs : ndarray of shape (n_rows, n_inputs), float32
            The inputs of all kinds, from the preprocessor.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float32
        """
        return class_probabilities(self._mean(inputs)).astype(np.float32)

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[Any]:
        """Predict the label, or the standardised number, of each row.

        Parameters
        ----------
        inputs : ndarray of shape (n_rows, n_inputs), float32

        Returns
        -------
        ndarray of shape (n_rows,), or (n_rows, n_levels) for several quantiles
            Where two classes are equally probable, the first one.
        """
        if not hasattr(self, "classes_"):
            return _numbers(self._mean(inputs))
        labels: NDArray[Any] = self.classes_[np.argmax(self.predict_proba(inputs), axis=1)]
        return labels

    def _mean(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Average the outputs of the members, in an array of shape (n_rows, n_outputs)."""
        n_outputs, weights = self.members[0].network.n_outputs_, self.member_weights()
        mean = np.zeros((len(inputs), n_outputs))
        for first in range(0, len(inputs), _ROWS_AT_A_TIME):
            rows = slice(first, first + _ROWS_AT_A_TIME)
            known: dict[tuple[int, int], NDArray[np.float32]] = {}
            for member in self.members:
                columns = member.start, member.stop
                if columns not in known:  # kernels take whole rows
                    known[columns] = np.ascontiguousarray(inputs[rows, slice(*columns)])
            seen = [known[member.start, member.stop] for member in self.members]
            if (found := self._few_outputs(seen)) is not None:
                weighted = found * np.array(weights)[:, None, None]
                # One after the other, as below; a sum would add them up in another order.
                mean[rows] += np.add.accumulate(weighted, axis=0)[-1]
                continue
            part = mean[rows]
            for member, X, weight in zip(self.members, seen, weights, strict=True):
                part += weight * _outputs(member, X, self.bounds)
        return mean

    def _few_outputs(self, seen: list[NDArray[np.float32]]) -> NDArray[np.float64] | None:
        """Return what all members predict for a few rows; None where there are too many.

        Parameters
        ----------
        seen : list of ndarray of shape (n_rows, n_inputs), float32
            The inputs that each member sees.

        Returns
        -------
        ndarray of shape (n_members, n_rows, n_outputs), float64, or None
            For each member what :func:`_outputs` returns.
        """
        if len(seen[0]) > _FEW_ROWS:
            return None
        found = outputs_of_all([member.network for member in self.members], seen)
        if found is None:
            return None
        wide = found.astype(np.float64)
        for i, member in enumerate(self.members):
            if member.log_target is not None:
                wide[i] = LogTarget(*member.log_target).change_back(wide[i])
        return wide if self.bounds is None else wide.clip(*self.bounds)


def networks_of(trained: Any) -> list[Any]:
    """Return the networks of a pack, or the one network that is no pack."""
    return (
        [member.network for member in trained.members] if isinstance(trained, Pack) else [trained]
    )


def make_small(network: Any) -> None:
    """Let a trained network forget what no prediction needs, and predict in float32."""
    for name in vars(network).keys() - network.get_params(deep=False).keys() - _KEPT:
        delattr(network, name)
    network.coefs_ = [w.astype(np.float32, copy=False) for w in network.coefs_]
    network.intercepts_ = [b.astype(np.float32, copy=False) for b in network.intercepts_]


def outputs_of(
    member: Member, X: NDArray[np.float32], bounds: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return what one member predicts for its inputs: probabilities, or numbers within bounds."""
    found = _outputs(member, X, bounds)
    return class_probabilities(found) if hasattr(member.network, "classes_") else _numbers(found)


def _numbers(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the outputs of a regression as a vector, where there is one for each row."""
    return found[:, 0] if found.shape[1] == 1 else found


def _outputs(
    member: Member, X: NDArray[np.float32], bounds: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Return what a member predicts for its inputs, which are known to be good.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs), float64
        Probabilities, of two classes that of the second one; or numbers within the bounds.
    """
    network = member.network
    found: NDArray[Any] = outputs(network, X, network).astype(np.float64)
    if member.log_target is not None:
        found = LogTarget(*member.log_target).change_back(found)
    return found if bounds is None else found.clip(*bounds)
