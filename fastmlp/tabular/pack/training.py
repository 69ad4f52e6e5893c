"""Training of a pack: its members in threads, the race among kinds, and limits of time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.metrics import accuracy_score, r2_score
from threadpoolctl import threadpool_limits

from ...engines.devices import cpu_threads, limit_threads
from ...engines.sharing import SharedArrays, sharing
from ...estimators.fit_many import fit_many
from ...estimators.holdout import HeldRows
from ...estimators.regression_targets import quantile_score
from ...exceptions import DivergenceError, collected_warnings
from ...network.weights import n_parameters
from ...training.keeping import Place
from ...training.signals import WaitingSignals
from ..quantiles import as_columns
from .folds import NEVER
from .kinds import LINEAR, OF_RARE, Kind, Plan
from .linear import fit_ridge
from .members import Member, MemberDone, Pack, make_small, outputs_of
from .problem import OutOfFold, Problem
from .stopping import StopsAfterAnEpoch, StopsAtAnEpoch
from .weighting import greedy_weights, held_out_loss, towards_linear

# ``listener(done, pack)`` is told of each member; ``pack()`` makes the pack of all so far. When it
# returns True no more members are trained.
Listener = Callable[[MemberDone, Callable[[], Pack]], Any]


# Share of a limit of time after which training ends; what is left is for the weights.
_SHARE_OF_TRAINING = 0.97


@dataclass(eq=False)
class _Job:
    """One network to train."""

    kind: Kind
    fold: int
    network: Any
    cost: float
    seconds: float = 0.0
    predicted: NDArray[np.float64] | None = None
    is_kept: bool = False
    warnings: list[Warning] = field(default_factory=list)


@dataclass(eq=False)
class PackTraining:
    """Trains the members that a plan wants; see :meth:`run`.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    random_state : numpy.random.RandomState
    n_jobs : int or None
        Number of threads, each of which trains one member at a time.
    device : str
        Members of a kind are trained together where it is not 'cpu', if their inputs are the same.
    began : float
        When the fit began, by ``time.perf_counter``.
    time_limit : float or None
        Seconds from then on after which training ends.
    listener : callable or None
    place : Place or None
        Where the checkpoint has the pack; None where there is none.

    Attributes
    ----------
    is_interrupted : bool
        Whether Ctrl-C ended training.
    is_cut_short : bool
        Whether the limit of time left members out, or ended the training of some.
    unseen : OutOfFold
        What the pack that was made last predicts for the rows that were held out.
    """

    problem: Problem
    plan: Plan
    random_state: np.random.RandomState
    n_jobs: int | None = None
    device: str = "cpu"
    began: float = field(default_factory=time.perf_counter)
    time_limit: float | None = None
    listener: Listener | None = None
    place: Place | None = None
    is_interrupted: bool = False
    is_cut_short: bool = False

    def __post_init__(self) -> None:
        problem, plan = self.problem, self.plan
        n_seeds = len(plan.kinds) * plan.n_held
        seeds = self.random_state.randint(2**31 - 1, size=n_seeds).reshape(-1, plan.n_held)
        self._jobs = [
            self._job(kind, fold, int(seeds[number, fold]))
            for number, kind in enumerate(plan.kinds)
            for fold in range(plan.n_held)
        ]
        self._planned = list(self._jobs)
        self._members: list[Member] = []
        shape: tuple[int, ...] = (len(problem.targets),)
        if problem.classes is not None:
            shape = (*shape, len(problem.classes))
        elif len(problem.levels) > 1:
            shape = (*shape, len(problem.levels))
        self._predicted = {kind.name: np.zeros(shape, np.float32) for kind in plan.kinds}
        self._active = [kind.name for kind in plan.kinds]
        self._columns = {kind.name: kind.columns(problem.groups) for kind in plan.kinds}
        self._inputs: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._copying, self._arrays = threading.Lock(), SharedArrays()
        self._telling = threading.RLock()  # while what the members are is changed or read
        self._config = get_config()  # each thread has one of its own
        self._stop = threading.Event()
        self._failure: DivergenceError | None = None
        self._n_threads = 1 if self.device != "cpu" else cpu_threads(self.n_jobs)

    def run(self) -> Pack:
        """Train the members, and weigh their kinds.

        Returns
        -------
        Pack

        Raises
        ------
        DivergenceError
            When all members diverged.
        KeyboardInterrupt
            When Ctrl-C came before a network had learned anything.
        """
        # Those that would end the process do so when the members in training are kept.
        signals = nullcontext() if self.place is None else WaitingSignals(interrupts=True)
        with signals:
            self._train_all()
            if self.place is not None and self.is_interrupted:
                self.place.keeper.is_interrupted = True
                self.place.keeper.write()
        if not self._members:
            if self._failure is not None:
                raise self._failure
            raise KeyboardInterrupt
        return self.pack()

    def _train_all(self) -> None:
        """Train the members of the first fold, and then those of the kinds that are of use."""
        first = [job for job in self._jobs if job.fold == 0]
        others = [job for job in self._jobs if job.fold > 0]
        # Threads of BLAS beside those of the members would wait for each other.
        blas = threadpool_limits(1, user_api="blas")
        with blas, ThreadPoolExecutor(self._n_threads, "fastmlp-pack") as pool:
            try:
                if self.plan.has_race:
                    self._train(pool, first)
                    if self._members:
                        self._active = list(self._weights()[0])
                    others = [job for job in others if job.kind.name in self._active]
                    self._planned = [job for job in self._planned if job in first + others]
                    self._train(pool, others)
                else:
                    self._train(pool, first + others)
            except KeyboardInterrupt:
                self._stop.set()
                self.is_interrupted = True
            except BaseException:
                self._stop.set()
                raise

    def pack(self) -> Pack:
        """Return the pack of the members that are trained."""
        with self._telling:
            return self._pack()

    def pack_and_unseen(self) -> tuple[Pack, OutOfFold] | None:
        """Return the pack of all so far, and what it predicts of rows held out; None without any.

        Any thread may call it.
        """
        with self._telling:
            if not self._members:
                return None
            return self._pack(), self.unseen

    def _pack(self) -> Pack:
        problem, (weights, rows) = self.problem, self._weights()
        members = [member for member in self._members if member.kind in weights]
        order = {name: number for number, name in enumerate(self._columns)}
        members.sort(key=lambda member: (order[member.kind], member.fold))
        predicted: Any = sum(w * self._predicted[name][rows] for name, w in weights.items())
        self.unseen = OutOfFold(rows, predicted)
        return Pack(
            members,
            weights,
            classes=problem.classes,
            bounds=problem.bounds,
            kinds=[self._described(kind.name, weights) for kind in self.plan.kinds],
            loss=self._loss(predicted, rows),
            score=self._score(self.unseen),
            is_cut_short=self.is_cut_short or self.is_interrupted,
        )

    def warnings(self) -> list[Warning]:
        """Return the warnings of the members, the first one of each category."""
        found: dict[type[Warning], Warning] = {}
        for job in self._jobs:
            for warning in job.warnings:
                found.setdefault(type(warning), warning)
        return list(found.values())

    # ---- jobs --------------------------------------------------------------------------------

    def _job(self, kind: Kind, fold: int, seed: int) -> _Job:
        n_rows = len(self.problem.folds) - len(self._unlearned(fold))
        network = self.problem.make_network(kind, n_rows, seed)
        start, stop = kind.columns(self.problem.groups)
        n_weights = n_parameters((stop - start, *kind.hidden, 1))
        return _Job(kind, fold, network, float(n_rows) * n_weights * (kind.epochs or 10))

    def _unlearned(self, fold: int) -> NDArray[np.intp]:
        """Return the rows that a member does not learn: of its fold, or without any weight."""
        folds = self.problem.folds
        return np.flatnonzero((folds == fold) | (folds == NEVER))

    def _train(self, pool: ThreadPoolExecutor, jobs: list[_Job]) -> None:
        """Train networks in threads, those of the first fold before the others.

        Long ones come first, so that all threads end together. Where time is short, the most
        useful ones do.
        """
        if self.time_limit is None:
            jobs = sorted(jobs, key=lambda job: -job.cost)
        waiting = self._batches(sorted(jobs, key=lambda job: job.fold > 0))
        running: dict[Future[None], list[_Job]] = {}
        ended: SimpleQueue[Future[None]] = SimpleQueue()
        while waiting or running:
            try:
                self._begin(pool, waiting, running, ended)
                if running and (future := ended.get()) in running:
                    self._keep(running[future], future)
                    del running[future]
                    self._forget_inputs()
            except KeyboardInterrupt:  # those in training keep what they have learned
                self._stop.set()
                self.is_interrupted = True
                for future in filter(Future.done, list(running)):  # one may have been taken
                    ended.put(future)
            if self._stop.is_set():
                waiting = []

    def _begin(
        self,
        pool: ThreadPoolExecutor,
        waiting: list[list[_Job]],
        running: dict[Future[None], list[_Job]],
        ended: SimpleQueue[Future[None]],
    ) -> None:
        """Give threads what waits; those that have ended are put into a queue."""
        while waiting and len(running) < self._n_threads and not self._stop.is_set():
            batch = waiting.pop(0)
            if self._has_time_for(batch, running):
                with WaitingSignals():  # see its notes on locks
                    future = pool.submit(self._fit, batch)
                    running[future] = batch
                    future.add_done_callback(ended.put)
            else:
                self.is_cut_short = True
                self._planned = [job for job in self._planned if job not in batch]

    def _batches(self, jobs: list[_Job]) -> list[list[_Job]]:
        """Group jobs that are trained by one call: on a GPU those of a kind.

        With means of the target the inputs of each are its own.
        """
        if self.device == "cpu" or self.problem.has_means:
            return [[job] for job in jobs]
        return [[j for j in jobs if j.kind is kind] for kind in dict.fromkeys(j.kind for j in jobs)]

    def _fit(self, batch: list[_Job]) -> None:
        """Fit the networks of one kind in this thread, and predict what they have not seen."""
        problem, began = self.problem, time.perf_counter()
        kind = batch[0].kind
        X = self._inputs_of(batch[0])
        held = [self._unlearned(job.fold) for job in batch]
        with collected_warnings() as caught:
            if kind.name == LINEAR and problem.classes is None and not problem.levels:
                for job, rows in zip(batch, held, strict=True):
                    self._fit_ridge(job, X, rows)
            elif self.device == "cpu":
                for job, rows in zip(batch, held, strict=True):
                    self._fit_network(job, X, rows)
            else:
                for job in batch:
                    job.network._place = self._place_of(job)
                fit_many(
                    [job.network for job in batch],
                    X,
                    problem.labels_of(kind),
                    problem.given_weight,
                    n_jobs=self.n_jobs,
                    held_out=held,
                    should_stop=StopsAfterAnEpoch(self._is_over),
                )
            for job in batch:
                if hasattr(job.network, "coefs_"):
                    rows = np.flatnonzero(problem.folds == job.fold)
                    make_small(job.network)
                    job.predicted = outputs_of(self._member(job), X[rows], problem.bounds)
                job.seconds = (time.perf_counter() - began) / len(batch)
        batch[0].warnings = caught

    def _fit_network(self, job: _Job, X: NDArray[np.float32], rows: NDArray[np.intp]) -> None:
        """Fit a network in this thread, on all but some rows."""
        if self._stop.is_set():
            return
        problem, told = self.problem, StopsAtAnEpoch(self._is_over)
        held = HeldRows(rows, len(X))
        with limit_threads(1), sharing(self._arrays), config_context(**self._config):
            labels = problem.labels_of(job.kind)
            place = self._place_of(job)
            job.network.fit(
                X, labels, problem.given_weight, eval_set=held, callback=told, checkpoint=place
            )

    def _place_of(self, job: _Job) -> Place | None:
        """Return where the checkpoint has a network."""
        if self.place is None:
            return None
        name = f"{job.kind.name}/{job.fold}"
        return self.place.inside(name, has_model=False, is_member=True)

    def _fit_ridge(self, job: _Job, X: NDArray[np.float32], rows: NDArray[np.intp]) -> None:
        problem = self.problem
        others = np.setdiff1d(np.arange(len(X)), rows, assume_unique=True)
        weight = self._weight_of(others)
        fit_ridge(job.network, X[others], problem.labels[others], weight)

    def _inputs_of(self, job: _Job) -> NDArray[np.float32]:
        """Return the inputs of a network, which are copied: kernels take whole rows.

        Networks share the copy, unless there are means of the target among the inputs.
        """
        columns = self._columns[job.kind.name]
        if self.problem.has_means:
            return self.problem.inputs_between(*columns, job.fold)
        with self._copying:  # once, although the first networks of a kind begin together
            if columns not in self._inputs:
                self._inputs[columns] = self.problem.inputs_between(*columns, job.fold)
            return self._inputs[columns]

    def _forget_inputs(self) -> None:
        """Give up the copies of inputs that no network needs any more."""
        needed = {self._columns[job.kind.name] for job in self._planned if not job.is_kept}
        with self._copying:
            self._inputs = {c: inputs for c, inputs in self._inputs.items() if c in needed}

    def _keep(self, batch: list[_Job], future: "Future[None]") -> None:
        """Add the networks that a thread has trained to the members, and tell of them."""
        error = future.exception()
        if isinstance(error, DivergenceError):
            self._failure = self._failure or error
        elif error is not None:
            raise error
        for job in batch:
            if job.is_kept:  # Ctrl-C came after that
                continue
            job.is_kept = True
            if job.predicted is None:
                self._planned.remove(job)
                continue
            rows = np.flatnonzero(self.problem.folds == job.fold)
            member = self._member(job)
            member.score = self._loss(job.predicted, rows)
            with self._telling:
                self._predicted[job.kind.name][rows] = job.predicted
                self._members.append(member)
            if self.listener is None or self.is_interrupted:
                continue
            if self.listener(self._done(member), self.pack):
                self._stop.set()

    def _member(self, job: _Job) -> Member:
        start, stop = self._columns[job.kind.name]
        log_target = None
        if job.kind.is_of_log and (change := self.problem.log_target) is not None:
            log_target = change.shift, change.mean, change.scale  # files hold plain values
        return Member(
            job.kind.name, job.fold, job.network, start, stop, np.nan, job.seconds, log_target
        )

    def _done(self, member: Member) -> MemberDone:
        seconds = time.perf_counter() - self.began
        return MemberDone(
            member.kind,
            member.fold,
            len(self._members),
            len(self._planned),
            -member.score,
            seconds,
            self._seconds_left(),
        )

    # ---- time --------------------------------------------------------------------------------

    def _is_over(self, seconds: float = 0.0) -> bool:
        """Tell whether training shall end now, since what comes next takes so many seconds."""
        if self._stop.is_set():
            return True
        if self._left() > seconds:
            return False
        self.is_cut_short = True
        return True

    def _left(self) -> float:
        """Return the seconds until the limit of time."""
        if self.time_limit is None:
            return np.inf
        return _SHARE_OF_TRAINING * self.time_limit - (time.perf_counter() - self.began)

    def _expected_seconds(self, job: _Job) -> float:
        """Estimate the time of a job: that of members of its kind, or else by its cost."""
        alike = [m.seconds for m in self._members if m.kind == job.kind.name]
        if alike:
            return float(np.mean(alike))
        known = [j for j in self._jobs if j.seconds and j.kind.hidden]
        if not known or not job.kind.hidden:
            return 0.0
        return job.cost * sum(j.seconds for j in known) / sum(j.cost for j in known)

    def _has_time_for(self, batch: list[_Job], running: dict[Any, Any]) -> bool:
        """Tell whether jobs can be done in time. Something is trained in any case."""
        if self.time_limit is None or not (self._members or running):
            return True
        return sum(map(self._expected_seconds, batch)) < self._left()

    def _seconds_left(self) -> float:
        trained = {(member.kind, member.fold) for member in self._members}
        waiting = [job for job in self._planned if (job.kind.name, job.fold) not in trained]
        seconds = sum(map(self._expected_seconds, waiting)) / self._n_threads
        return float(max(0.0, min(seconds, self._left())))

    # ---- results -----------------------------------------------------------------------------

    def _weights(self) -> tuple[dict[str, float], NDArray[np.intp]]:
        """Weigh the kinds by the rows that all of them have predicted.

        While training goes on these are the kinds of the fold that most of them are through with.

        Returns
        -------
        weights : dict of str to float
        rows : ndarray of shape (n_held_rows,), of int
        """
        folds: dict[str, set[int]] = {}
        for member in self._members:
            if member.kind in self._active:
                folds.setdefault(member.kind, set()).add(member.fold)
        counts = [sum(f in done for done in folds.values()) for f in range(self.plan.n_held)]
        fold = int(np.argmax(counts))
        kinds = [name for name in self._active if fold in folds.get(name, ())]
        common = set.intersection(*(folds[name] for name in kinds))
        rows = np.flatnonzero(np.isin(self.problem.folds, sorted(common)))
        weight = self._weight_of(rows)
        predicted = {name: self._predicted[name][rows] for name in kinds}
        targets, levels = self.problem.targets[rows], self.problem.levels
        weights = greedy_weights(predicted, targets, weight, levels)
        if OF_RARE in self.plan.kinds and predicted[kinds[0]].shape[1] == 2:
            linear = [kind.name for kind in self.plan.kinds if not kind.hidden]
            weights = towards_linear(weights, predicted, linear, targets, weight)
        return weights, rows

    def _loss(self, predicted: NDArray[Any], rows: NDArray[np.intp]) -> float:
        weight = self._weight_of(rows)
        loss = held_out_loss(predicted, self.problem.targets[rows], weight, self.problem.levels)
        return loss * self.problem.scale

    def _score(self, unseen: OutOfFold) -> float:
        """Return the accuracy, R^2 or D^2 on rows that members have not seen."""
        targets, weight = self.problem.targets[unseen.rows], self._weight_of(unseen.rows)
        if self.problem.classes is None:
            if len(targets) < 2:
                return np.nan
            if levels := self.problem.levels:
                return quantile_score(targets, as_columns(unseen.predicted), levels, weight)
            return float(r2_score(targets, unseen.predicted, sample_weight=weight))
        found = unseen.predicted.argmax(axis=1)
        return float(accuracy_score(targets, found, sample_weight=weight))

    def _weight_of(self, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
        return None if self.problem.weight is None else self.problem.weight[rows]

    def _described(self, name: str, weights: dict[str, float]) -> dict[str, Any]:
        """Describe a kind in plain values."""
        members = [member for member in self._members if member.kind == name]
        folds = sorted(member.fold for member in members)
        rows = np.flatnonzero(np.isin(self.problem.folds, folds))
        start, stop = self._columns[name]
        return {
            "kind": name,
            "weight": weights.get(name, 0.0),
            "folds": len(folds),
            "loss": self._loss(self._predicted[name][rows], rows) if folds else None,
            "epochs": sum(int(member.network.n_iter_) for member in members),
            "seconds": round(sum(member.seconds for member in members), 3),
            "inputs": stop - start,
        }
