"""Training by L-BFGS: scipy's optimiser on an engine's loss and gradient of all rows."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from threadpoolctl import ThreadpoolController

from ..engines.engine import Engine
from ..engines.forks import hold_at_fork
from ..exceptions import CustomLossError
from ..network.plan import Loss
from ..network.weights import penalty
from .callbacks import Listener
from .checkpoint import TrainingState, numbers_of
from .history import Epoch, History, Outcome, Vector, add_epochs
from .loop import EpochMetrics, Validation


class _OneBlasThread:
    """Limits BLAS to one thread while any fit is inside.

    scipy's L-BFGS multiplies matrices of ten rows by BLAS. Its threads would only wait for each
    other there, and compete with those of the engine. The limit holds for the whole process, and
    fits in several threads may overlap: the first one sets it, and the last one lifts it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        hold_at_fork(self._lock)
        self._inside: set[object] = set()

    @property
    def n_inside(self) -> int:
        """Number of fits that are inside."""
        return len(self._inside)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Return the context of one fit, which it leaves even if a signal interrupts that."""
        fit = object()
        try:
            with self._lock:
                if not self._inside:
                    self._limit = _blas().limit(limits=1, user_api="blas")
                self._inside.add(fit)
            yield
        finally:
            try:
                self._leave(fit)
            except BaseException:
                self._leave(fit)
                raise

    def _leave(self, fit: object) -> None:
        with self._lock:
            if self._inside == {fit}:
                self._limit.restore_original_limits()
            self._inside.discard(fit)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # it searches all loaded libraries, which takes time


one_blas_thread = _OneBlasThread()


@dataclass
class LbfgsRun:
    """Minimises the loss of all rows as one batch (Liu and Nocedal, 1989).

    With several outputs it minimises the sum of their squared errors, which is the function that
    the engine's gradient belongs to, and reports the mean of the squared errors. (scikit-learn
    gives its line search the mean together with the gradient of the sum.)

    Parameters
    ----------
    engine : Engine
        Its plan has the optimiser ``GRADIENT`` and all rows in a batch.
    start : ndarray of shape (n_parameters,), float64
        The initial parameters.
    history : History
        It is modified in place: each iteration adds its loss and its metrics.
    listener : Listener
        It is told of each iteration as of an epoch.
    max_iter : int
        Largest number of iterations.
    max_fun : int
        Largest number of evaluations of the loss.
    tol : float
        Training ends when no element of the gradient has a larger absolute value.
    metrics : EpochMetrics
        What is measured after each iteration, beside the loss.
    verbose : bool
        Whether to print the loss of each iteration to stdout.
    resumed : TrainingState or None
        The weights and the iterations of another process. scipy's memory of earlier gradients is
        not among them, so that the result is another one than without the interruption.
    """

    engine: Engine
    start: Vector
    history: History
    listener: Listener
    max_iter: int
    max_fun: int
    tol: float
    metrics: EpochMetrics = field(default_factory=EpochMetrics)
    verbose: bool = False
    resumed: TrainingState | None = None

    def run(self) -> Outcome:
        """Run iterations until scipy, the listener, divergence or Ctrl-C ends training.

        Returns
        -------
        Outcome
        """
        self._began = time.perf_counter()
        self._reached, self._loss, self._gradient_norm = self.start, np.nan, 0.0
        self._is_stop_requested = self._diverged = False
        self._epochs: list[Epoch] = []
        plan = self.engine.plan
        # The engine returns the mean of the outputs' squared errors, with the gradient of the sum.
        self._n_terms = plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else 1
        curve = self.history.loss_curve
        n_before = len(curve)
        if self.resumed is not None:
            self._resume(self.resumed)
        n_resumed = self.n_epochs
        self._is_in_listener = False
        try:
            if n_resumed >= self.max_iter:
                return self._outcome(message="STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT")
            self._tell(self.listener.epoch_begins)
            with one_blas_thread():
                result = minimize(
                    self._objective,
                    self._reached,
                    method="L-BFGS-B",
                    jac=True,
                    callback=self._iteration_ends,
                    options={
                        "maxfun": self.max_fun,
                        "maxiter": self.max_iter - n_resumed,
                        "gtol": self.tol,
                    },
                )
        except KeyboardInterrupt:
            return self._outcome(converged=True, interrupted=True)
        except CustomLossError as error:
            if self._is_in_listener:  # it is about another fit
                raise
            return self._outcome(failure=error)
        finally:
            # Ctrl-C may come after one list has an iteration and before the other one has it.
            del curve[n_before + len(self._epochs) :]
            add_epochs(self.history.numbers, self._epochs)
        if self._diverged or not (np.isfinite(result.fun) and np.isfinite(result.x).all()):
            return self._outcome(diverged=True)
        self._reached, self._loss = result.x, self._mean_loss(result.fun, result.x)
        n_iterations = n_resumed + result.nit
        if self._is_stop_requested or result.status == 0:
            return self._outcome(n_iterations=n_iterations, converged=True)
        return self._outcome(n_iterations=n_iterations, message=str(result.message))

    @property
    def n_epochs(self) -> int:
        """Number of completed iterations."""
        return len(self._epochs)

    def parameters(self) -> Vector:
        """See :meth:`fastmlp.training.callbacks.Reached.parameters`."""
        return self._reached.copy()

    def record(self) -> History:
        """See :meth:`fastmlp.training.callbacks.Reached.record`."""
        return self.history.followed_by(self._epochs)

    def memory(self) -> None:
        """Return None: ``partial_fit``, which could continue with a memory, has no L-BFGS."""

    def state(self) -> TrainingState:
        """See :meth:`fastmlp.training.checkpoint.Resumable.state`."""
        curve = np.array(self.history.loss_curve, np.float64)
        return TrainingState(self.parameters(), curve, **numbers_of(self._epochs))

    def _resume(self, state: TrainingState) -> None:
        """Go on with the weights that :meth:`state` has returned in another process."""
        self._reached = state.theta
        self._epochs += state.epochs(self.max_iter)
        self.history.loss_curve[:] = state.loss_curve.tolist()
        if self._epochs:
            self._loss = self._epochs[-1].loss
            self._began -= self._epochs[-1].seconds

    def _outcome(self, n_iterations: int | None = None, **ending: Any) -> Outcome:
        n_epochs = self.n_epochs if n_iterations is None else n_iterations
        return Outcome(self._reached, n_epochs, loss=self._loss, **ending)

    def _penalty(self, theta: Vector) -> float:
        return penalty(theta, self.engine.plan, self.engine.total_weight)

    def _objective(self, theta: Vector) -> tuple[float, Vector]:
        """Compute the sum of the outputs' losses, with one penalty, and its gradient."""
        loss, gradient = self.engine.loss_and_gradient(theta)
        if self.metrics.gradient_norm is not None:
            self._gradient_norm = float(np.linalg.norm(gradient))
        return self._n_terms * loss - (self._n_terms - 1) * self._penalty(theta), gradient

    def _mean_loss(self, objective: float, theta: Vector) -> float:
        others = (self._n_terms - 1) * self._penalty(theta)
        return float((objective + others) / self._n_terms)

    def _iteration_ends(self, intermediate_result: OptimizeResult) -> None:
        """Record an iteration; raise StopIteration, which scipy expects, to end training."""
        # scipy passes an OptimizeResult to callbacks whose argument has this very name.
        x, objective = intermediate_result.x, intermediate_result.fun
        if not (np.isfinite(objective) and np.isfinite(x).all()):
            self._diverged = True
            raise StopIteration
        reached = x.copy()
        loss = self._mean_loss(objective, reached)
        epoch = self._measure(reached, loss)
        self._reached, self._loss = reached, loss
        self.history.loss_curve.append(loss)
        self._epochs.append(epoch)
        if self.verbose:
            print(f"Iteration {epoch.epoch}, loss = {loss:.8f}")
        self._is_stop_requested = self._tell(self.listener.epoch_ends, epoch)
        if self._is_stop_requested:
            raise StopIteration
        if epoch.epoch < self.max_iter:
            self._tell(self.listener.epoch_begins)

    def _tell(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the listener with some arguments and what training has reached."""
        self._is_in_listener = True
        result = method(*args, self)
        self._is_in_listener = False
        return result

    def _measure(self, theta: Vector, loss: float) -> Epoch:
        """Measure the parameters that an iteration has reached."""
        engine, metrics = self.engine, self.metrics
        if metrics.validate is not None or metrics.dead_units is not None:
            engine.push(theta)
        validation = Validation() if metrics.validate is None else metrics.validate(engine)
        return Epoch(
            self.n_epochs + 1,
            self.max_iter,
            loss,
            validation.score,
            None,
            time.perf_counter() - self._began,
            validation.loss,
            # A line search evaluates the point where it ends last.
            None if metrics.gradient_norm is None else self._gradient_norm,
            None if metrics.dead_units is None else metrics.dead_units(engine),
        )
