"""A study: its candidates, in memory or in a file, and which of them go on.

This module imports Optuna, and is imported when a search begins.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from ..exceptions import InputError
from . import owners
from .journal import Journal, check_study_file
from .space import Choice, Range, Space, shown

_NAME = "fastmlp"
# Of the candidates that have reached a rung, one in so many goes on.
_REDUCTION = 3
# Fewer different scores say nothing of the importance of parameters.
_FEWEST_SCORES = 8
# The names by which a study keeps what is known of itself and of its trials.
_FINGERPRINT, _CANDIDATE, _OWNER, _START = "fingerprint", "candidate", "owner", "start"
_SECONDS, _ERROR, _EPOCHS = "seconds", "error", "epochs"


@dataclass
class Candidate:
    """Parameters that are tried, and how far that has come.

    Parameters
    ----------
    number : int
        Its place among all candidates of the study; the same search draws the same ones.
    trial_id : int
        What Optuna calls it.
    params : dict of str to object
        Those that differ from the estimator's.
    start : str, default=''
        What a candidate is called that is tried whatever the space, such as 'defaults'.
    scores : dict of int to float
        The scores of the rungs that it has been through.
    seconds : float, default=0.0
        What these took.
    epochs : dict of str to int
        How many epochs were trained for each rung.
    """

    number: int
    trial_id: int
    params: dict[str, Any]
    start: str = ""
    scores: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    epochs: dict[str, int] = field(default_factory=dict)


class Study:
    """Candidates and their scores; several processes may share its file.

    Parameters
    ----------
    path : Path or None
        None keeps it in memory.
    space : dict of str to Range or Choice
    starts : dict of str to dict
        Candidates that are tried first, by what they are called.
    is_larger_better : bool
    seed : int
        Each candidate is drawn by a generator of its own, so that a study which goes on draws the
        candidates of one that was never interrupted.
    fingerprint : dict of str to str
        What the search is about; the file of another one is refused.

    Raises
    ------
    InputError
        When the file is no study, or is that of another search.
    """

    def __init__(
        self,
        path: Path | None,
        space: Space,
        starts: Mapping[str, dict[str, Any]],
        is_larger_better: bool,
        seed: int,
        fingerprint: dict[str, str],
    ) -> None:
        self._space, self._starts, self._seed = space, starts, seed
        self._sign = 1.0 if is_larger_better else -1.0
        directions = optuna.study.StudyDirection
        self._direction = directions.MAXIMIZE if is_larger_better else directions.MINIMIZE
        self._search = uuid.uuid4().hex
        self._memory_lock = threading.RLock()
        self._journal: Journal | None = None
        self._storage: optuna.storages.BaseStorage
        if path is None:
            self._storage = optuna.storages.InMemoryStorage()
        else:
            check_study_file(path)
            self._journal = Journal(str(path))
            self._storage = optuna.storages.JournalStorage(self._journal)  # type: ignore[arg-type]
        with self._exclusive():
            if _NAME in optuna.get_all_study_names(self._storage):
                self._study = optuna.load_study(study_name=_NAME, storage=self._storage)
            else:
                self._study = optuna.create_study(
                    study_name=_NAME, storage=self._storage, direction=self._direction
                )
            self._check(path, fingerprint)
        owners.begin(self._search)

    def close(self) -> None:
        """End the search of this object; what still runs has nobody who runs it."""
        owners.end(self._search)

    def _check(self, path: Path | None, fingerprint: dict[str, str]) -> None:
        """Compare what the search is about, or note it in a new study."""
        kept = self._study.user_attrs.get(_FINGERPRINT)
        if kept is None:
            self._study.set_user_attr(_FINGERPRINT, fingerprint)
            return
        for name in dict.fromkeys([*fingerprint, *kept]):
            before, now = kept.get(name, "none"), fingerprint.get(name, "none")
            if before != now:
                raise InputError(
                    f"{path}: this is the study of another search, in which {name} was {before}, "
                    f"and here it is {now}; choose another name for the study"
                )

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Let no other thread or process change the study."""
        if self._journal is None:
            with self._memory_lock:
                yield
            return
        with self._journal.exclusive():
            yield

    def next(self, n_trials: int | None, left_out: Sequence[str] = ()) -> Candidate | None:
        """Return a candidate to be tried now, or None where there are `n_trials` already.

        A candidate whose process was killed comes first, and keeps the scores that it had.

        Parameters
        ----------
        n_trials : int or None
        left_out : sequence of str, default=()
            What is not tried of the candidates that come first.

        Returns
        -------
        Candidate or None
        """
        with self._exclusive():
            trials = self._study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state != TrialState.RUNNING:
                    continue
                if _CANDIDATE not in trial.user_attrs:  # killed while it was written down
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                elif owners.is_gone(trial.user_attrs.get(_OWNER)):
                    self._sign_trial(trial._trial_id)
                    return self._candidate(trial)
            counted = [t for t in trials if _CANDIDATE in t.user_attrs]
            kept = [t for t in counted if t.state != TrialState.FAIL]
            if n_trials is not None and len(kept) >= n_trials:
                return None
            known = {*left_out, *(t.user_attrs.get(_START) for t in kept)}
            start = next((name for name in self._starts if name not in known), "")
            return self._new(len(counted), start)

    def _new(self, number: int, start: str) -> Candidate:
        """Draw a candidate, and write it down."""
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        study = optuna.load_study(
            study_name=_NAME,
            storage=self._storage,
            sampler=_Sampler(self._distributions(), seed),
        )
        trial = study.ask()
        params = dict(self._starts.get(start, {}))
        if not start:
            params = {name: part.suggest(trial, name) for name, part in self._space.items()}
        self._sign_trial(trial._trial_id)
        if start:
            trial.set_user_attr(_START, start)
        trial.set_user_attr(_CANDIDATE, number)  # the last line: it is complete
        return Candidate(number, trial._trial_id, params, start)

    def _candidate(self, trial: FrozenTrial) -> Candidate:
        """Return a candidate as the study has it."""
        attrs = trial.user_attrs
        start = attrs.get(_START, "")
        params = dict(self._starts.get(start, {}))
        if not start:
            params = {n: self._space[n].value(stored) for n, stored in trial.params.items()}
        return Candidate(
            attrs[_CANDIDATE],
            trial._trial_id,
            params,
            start,
            dict(trial.intermediate_values),
            attrs.get(_SECONDS, 0.0),
            dict(attrs.get(_EPOCHS, {})),
        )

    def _sign_trial(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(trial_id, _OWNER, owners.sign_of(self._search))

    def give_sign(self, candidate: Candidate) -> None:
        """Tell processes of other machines that this one still runs a candidate."""
        with self._exclusive():
            if self._is_running(candidate):
                self._sign_trial(candidate.trial_id)

    def _is_running(self, candidate: Candidate) -> bool:
        return self._storage.get_trial(candidate.trial_id).state == TrialState.RUNNING

    def report(self, candidate: Candidate, rungs: Sequence[int], score: float) -> None:
        """Write down the score of a candidate on a rung, or the same one on several.

        Parameters
        ----------
        candidate : Candidate
        rungs : sequence of int
        score : float
        """
        with self._exclusive():
            self._note_cost(candidate)  # first: a score says that all is written down
            for rung in rungs:
                candidate.scores[rung] = score
                if self._is_running(candidate):
                    self._storage.set_trial_intermediate_value(candidate.trial_id, rung, score)

    def _note_cost(self, candidate: Candidate) -> None:
        self._note(candidate, _SECONDS, round(candidate.seconds, 3))
        self._note(candidate, _EPOCHS, candidate.epochs)

    def _note(self, candidate: Candidate, name: str, value: Any) -> None:
        if self._is_running(candidate):
            self._storage.set_trial_user_attr(candidate.trial_id, name, value)

    def goes_on(self, candidate: Candidate, rung: int) -> bool:
        """Tell whether a candidate is among the best third of those that have reached a rung.

        This is asynchronous successive halving (Li et al., 2020). Optuna's pruner notes on the
        trial what it has decided, which a process that goes on with it would take for its own.

        Parameters
        ----------
        candidate : Candidate
        rung : int

        Returns
        -------
        bool
        """
        with self._exclusive():
            trials = self._study.get_trials(deepcopy=False)
        scores = [
            self._sign * t.intermediate_values[rung]
            for t in trials
            if rung in t.intermediate_values and t.state != TrialState.FAIL
        ]
        n_on = max(1, len(scores) // _REDUCTION)
        return self._sign * candidate.scores[rung] >= sorted(scores, reverse=True)[n_on - 1]

    def complete(self, candidate: Candidate, score: float) -> None:
        """Write down that a candidate has been tried to the end."""
        with self._exclusive():
            self._note_cost(candidate)
            self._tell(candidate, TrialState.COMPLETE, score)

    def leave(self, candidate: Candidate, error: str = "", is_cut: bool = False) -> None:
        """Write down that a candidate is given up.

        Parameters
        ----------
        candidate : Candidate
        error : str, default=''
            Why it could not be trained. It then counts as worse than all others.
        is_cut : bool, default=False
            Whether the search ended meanwhile. A candidate without any score then counts as never
            tried.
        """
        failed = is_cut and not candidate.scores
        with self._exclusive():
            if error:
                self._note(candidate, _ERROR, error[:500])
            self._tell(candidate, TrialState.FAIL if failed else TrialState.PRUNED)

    def _tell(self, candidate: Candidate, state: TrialState, score: float | None = None) -> None:
        if self._is_running(candidate):
            values = None if score is None else [score]
            self._storage.set_trial_state_values(candidate.trial_id, state, values)

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {name: _distribution(part) for name, part in self._space.items()}

    def best(self) -> Candidate | None:
        """Return the best candidate that was tried to the end; the first of equal ones."""
        complete = [r for r in self._trials() if r.state == TrialState.COMPLETE]
        if not complete:
            return None
        return self._candidate(max(complete, key=lambda t: self._sign * _value(t)))

    def best_score(self) -> float | None:
        """Return the score of the best candidate, or None."""
        complete = [t for t in self._trials() if t.state == TrialState.COMPLETE]
        return max((_value(t) for t in complete), key=lambda s: self._sign * s, default=None)

    def n_finished(self) -> int:
        """Count the candidates that are tried or given up."""
        return sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in self._trials())

    def _trials(self) -> list[FrozenTrial]:
        with self._exclusive():
            trials = self._study.get_trials(deepcopy=False)
        return [t for t in trials if _CANDIDATE in t.user_attrs]

    def records(self) -> list[dict[str, Any]]:
        """Describe all candidates, the best ones first.

        Returns
        -------
        list of dict
            'candidate' is the number, 'state' what became of it, 'score' that of the last rung,
            'rungs' how many it has been through, 'seconds' what they took, and 'params' what
            differs from the estimator's parameters.
        """
        names = {
            TrialState.COMPLETE: "complete",
            TrialState.PRUNED: "stopped",
            TrialState.RUNNING: "running",
        }
        found = []
        for trial in self._trials():
            candidate, attrs = self._candidate(trial), trial.user_attrs
            rungs = len(candidate.scores)
            score = candidate.scores[max(candidate.scores)] if rungs else None
            if trial.state == TrialState.COMPLETE:
                score = _value(trial)
            state = names.get(trial.state, "interrupted")
            found.append({
                "candidate": candidate.number,
                "state": "failed" if attrs.get(_ERROR) else state,
                "score": score,
                "rungs": rungs,
                "epochs": sum(candidate.epochs.values()),
                "seconds": candidate.seconds,
                "start": candidate.start,
                "params": candidate.params,
                "error": attrs.get(_ERROR, ""),
            })  # fmt: skip
        return sorted(found, key=self._rank)

    def _rank(self, record: Mapping[str, Any]) -> tuple[bool, float, float]:
        score = float("-inf") if record["score"] is None else self._sign * record["score"]
        is_complete = record["state"] == "complete"
        return not is_complete, 0 if is_complete else -record["rungs"], -score

    def importances(self) -> dict[str, float]:
        """Estimate which share of the differences between scores each parameter explains.

        The scores are those of the first rung, which all candidates have been through.

        Returns
        -------
        dict of str to float
            The most important one first; they add up to 1. Empty where too little was tried.
        """
        distributions = self._distributions()
        equals = optuna.create_study(direction=self._direction)
        for trial in self._trials():
            if trial.params and 0 in trial.intermediate_values:
                equals.add_trial(
                    optuna.trial.create_trial(
                        params={name: trial.params[name] for name in distributions},
                        distributions=distributions,
                        value=trial.intermediate_values[0],
                    )
                )
        scores = {trial.value for trial in equals.get_trials(deepcopy=False)}
        if len(scores) < max(_FEWEST_SCORES, 2 * len(distributions)):
            return {}
        found = optuna.importance.get_param_importances(equals)
        return {name: float(share) for name, share in found.items()}


class _Sampler(optuna.samplers.TPESampler):
    """A sampler that draws all parameters together.

    Optuna finds out by itself which parameters all trials have. The defaults have none.
    """

    def __init__(self, distributions: dict[str, BaseDistribution], seed: int) -> None:
        super().__init__(seed=seed, multivariate=True)
        self._known = distributions

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._known


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _distribution(part: Range | Choice) -> BaseDistribution:
    """Return what Optuna calls a range or a choice."""
    if isinstance(part, Choice):
        return CategoricalDistribution([shown(value) for value in part.values])
    if part.is_integer:
        return IntDistribution(int(part.low), int(part.high), log=part.log)
    return FloatDistribution(part.low, part.high, log=part.log)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling of each study and trial on standard error."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
