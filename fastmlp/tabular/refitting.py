"""Fitting a model to some rows of a table, and once more to all of them."""

import time
from contextvars import copy_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ..exceptions import (
    DataWarning,
    InputError,
    InterruptedTrainingWarning,
    collected_warnings,
    warn_user,
)
from ..training.checkpoint import CheckpointPath
from .call import Callback
from .problem import Problem
from .several import models_of
from .table import Table

# What is left of a time limit for a second training, at least: something is trained in any time.
_LEAST_SECONDS = 1e-9


class Training:
    """Fits models to rows of one table.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Has the parameters; it is not fitted here.
    problem : Problem
    callback : callable or None
    """

    def __init__(self, model: Any, problem: Problem, callback: Callback | None) -> None:
        self._parameters, self._class = model.get_params(deep=False), type(model)
        self._limit = self._parameters["time_limit"]
        self._problem, self._callback = problem, callback
        self._began = time.perf_counter()

    def fit(
        self, model: Any, rows: NDArray[np.intp], checkpoint: CheckpointPath, is_first: bool
    ) -> tuple[dict[str, bool], float]:
        """Fit a model to some rows, in half of the time where it is the first of two.

        Returns
        -------
        endings : dict
            Whether training 'converged', and whether it was 'interrupted'.
        seconds : float
        """
        if is_first and self._limit is not None:
            model.time_limit = self._limit / 2
        began = time.perf_counter()
        table, y = self._problem.tables[0].rows(rows), self._problem.learned(rows)
        endings = _fit(model, table, y, self._callback, checkpoint)
        for one in (model, *models_of(model)):
            one.time_limit = self._limit
        return endings, time.perf_counter() - began

    def refit(self) -> tuple[Any, dict[str, bool], float] | None:
        """Fit another model to all rows, in the time that is left.

        Returns
        -------
        (model, endings, seconds) or None
            None where it was interrupted or failed, so that the first model is kept, which a
            warning says.
        """
        model = self._class(**self._parameters)
        if self._limit is not None:
            spent = time.perf_counter() - self._began
            model.time_limit = max(self._limit - spent, _LEAST_SECONDS)
        rows = np.arange(len(self._problem.frame))
        try:
            with collected_warnings() as collected:
                endings, seconds = self.fit(model, rows, None, is_first=False)
        except KeyboardInterrupt:
            endings, seconds = {"interrupted": True}, 0.0
        except InputError as error:
            warn_user(f"training on all rows failed, and the first model is kept: {error}")
            return None
        if endings["interrupted"]:
            warn_user("training on all rows was interrupted, and the first model is kept")
            return None
        for warning in collected:
            if not isinstance(warning, DataWarning):  # those were said of the training rows
                warn_user(warning)
        return model, endings, seconds


def _fit(
    model: Any, X: Table, y: Any, callback: Callback | None, checkpoint: CheckpointPath
) -> dict[str, bool]:
    """Fit the model, and tell whether it 'converged' and whether it was 'interrupted'.

    The warnings about these two are not shown; all others are passed on.
    """
    outside = copy_context()  # what a callback fits has warnings of its own
    told = None if callback is None else lambda epoch: outside.run(callback, epoch)
    with collected_warnings() as collected:
        try:
            model.fit(X, y, callback=told, checkpoint=checkpoint)
        except InputError:
            raise
        except (ValueError, OverflowError) as error:
            raise InputError(str(error)) from error
        except MemoryError as error:
            raise InputError(
                f"training needs more memory than there is ({error}); choose a smaller "
                "hidden_layer_sizes or batch_size, or fewer rows"
            ) from error
    converged, interrupted = True, False
    for warning in collected:
        if isinstance(warning, ConvergenceWarning):
            converged = False
        elif isinstance(warning, InterruptedTrainingWarning):
            interrupted = True
        else:
            warn_user(warning)
    return {"converged": converged and not interrupted, "interrupted": interrupted}
