"""Rows of a table in the compact form of shards, and from there to what a network is trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tabular.encoders.assembly import make_inputs
from ..tabular.rows import read_rows
from ..tabular.targets import check_known, labels_like, numeric_target, plain_target
from .digests import sums_of_columns
from .shards import Deal, number_of_shards, row_type
from .statistics import Statistics

_MOST_VALIDATION = 200_000


@dataclass(frozen=True)
class Dealer:
    """Makes rows compact, and knows where they are dealt to.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Its preprocessor is fitted.
    classes : ndarray or None
        The class labels; None for a regression.
    target : str
        The name of the target column.
    dtype : numpy.dtype
        The type of a compact row.
    deal : Deal
    """

    model: Any
    classes: NDArray[Any] | None
    target: str
    dtype: np.dtype[Any]
    deal: Deal

    def compact(self, frame: Any) -> NDArray[Any]:
        """Return the rows of a frame in their compact form.

        Raises
        ------
        DataError
            When they cannot be read, or have an unknown class.
        """
        model = self.model
        rows = np.empty(len(frame), dtype=self.dtype)
        rows["numbers"], rows["codes"] = read_rows(model.preprocessor_, frame)
        y = plain_target(frame[self.target])
        if self.classes is None:
            form = model.target_format_
            rows["target"] = numeric_target(y, "or use task='classification'", form)
        else:
            labels = labels_like(self.classes, y)
            check_known(labels, self.classes, f"target column {self.target!r}")
            rows["target"] = np.searchsorted(self.classes, labels)
        return rows

    def sums(self, first_row: int, rows: NDArray[Any]) -> NDArray[np.uint64]:
        """Return a sum for each number, code and target; see :func:`sums_of_columns`.

        Parameters
        ----------
        first_row : int
            Number of the first of the rows in the table, counted from 0.
        rows : ndarray
            Compact rows that follow each other.
        """
        return sums_of_columns(first_row, [rows["numbers"], rows["codes"], rows["target"][:, None]])

    def inputs(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the inputs of the networks for compact rows."""
        numbers = np.ascontiguousarray(rows["numbers"])
        return make_inputs(self.model.preprocessor_, numbers, rows["codes"].astype(np.intp))

    def targets(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return what the networks are trained on: labels, or standardised numbers."""
        if self.classes is not None:
            return self.classes[rows["target"]]
        scaled = (rows["target"] - self.model.target_mean_) / self.model.target_scale_
        return scaled.astype(np.float32)

    def read(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return the inputs and the targets of the networks for compact rows."""
        return self.inputs(rows), self.targets(rows)


def dealer_for(
    model: Any, classes: NDArray[Any] | None, found: Statistics, test_size: float, seed: int
) -> Dealer:
    """Decide how the rows of a table are dealt.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Its preprocessor is fitted.
    classes : ndarray or None
    found : Statistics
    test_size : float
    seed : int

    Returns
    -------
    Dealer
    """
    preprocessor = model.preprocessor_
    parameters = model._network_parameters(np.zeros(found.n_trained))
    share = parameters["validation_fraction"] if parameters["early_stopping"] else 0.0
    share = min(share, _MOST_VALIDATION / max(1, found.n_trained))
    dtype = row_type(
        len(preprocessor.centres_),
        [len(levels) for levels in preprocessor.levels_],
        classes is not None,
    )
    n_shards = number_of_shards(found.n_trained, n_inputs_of(model))
    return Dealer(model, classes, found.target, dtype, Deal(n_shards, seed, test_size, share))


def n_inputs_of(model: Any) -> int:
    """Return the number of inputs that the preprocessor of a model makes."""
    return int(max(stop for _, stop in model.preprocessor_.groups_.values()))
