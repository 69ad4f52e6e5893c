"""From an estimator for tables and its table to what a pack is trained on."""

from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from ...estimators.class_targets import ClassTargets
from ...estimators.inputs import read_weight
from ...training.keeping import Place
from ..preprocessing import TabularPreprocessor
from ..quantiles import quantile_levels
from ..table import Table
from .folds import stratified_folds
from .kinds import OF_LOG, Kind, Plan, plan_for, with_rare
from .problem import MakeNetwork, Problem
from .tails import LogTarget
from .training import Listener, PackTraining

# Parameters of an estimator that describe no network: they do not decide which kind of model it is.
_OF_NO_NETWORK = {
    "random_state", "n_jobs", "device", "class_weight", "monitor", "diagnose", "effort", "members",
    "time_limit", "threshold",
}  # fmt: skip
NETWORK = "network"


def set_parameters(estimator: Any) -> list[str]:
    """List the parameters of a network that differ from the defaults of an estimator for tables."""
    defaults = {k: p.default for k, p in signature(type(estimator)).parameters.items()}
    not_counted = _OF_NO_NETWORK
    if quantile_levels(estimator):  # what is predicted says nothing of the networks
        not_counted = not_counted | {"loss", "quantiles"}
    return [
        name
        for name, default in defaults.items()
        if name not in not_counted and not _is_same(getattr(estimator, name), default)
    ]


def _is_same(value: Any, default: Any) -> bool:
    if default is None or isinstance(default, str | bool):
        return value is default or (isinstance(value, str) and value == default)
    try:
        return bool(np.array_equal(value, default))
    except (TypeError, ValueError):
        return False


def is_one_network(estimator: Any) -> bool:
    """Tell whether the parameters of an estimator describe a single network."""
    members = estimator.members
    is_single = isinstance(members, str) or members == 1
    return is_single and bool(set_parameters(estimator))


def why(estimator: Any) -> str:
    """Say in a clause what has chosen the form of the model, for its user."""
    names = set_parameters(estimator)
    members = estimator.members
    said = "" if isinstance(members, str) else f"members={members}"
    if names:
        shown = [f"`{name}`" for name in names]
        listed = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
        reason = f"because {listed} {'are' if len(names) > 1 else 'is'} set"
        if is_one_network(estimator):
            return f"one network, {reason}"
        return f"networks of one kind, {reason}; {said}"
    said = said or f"effort={estimator.effort!r}"
    return f"a pack, because no parameter of a network is set; {said}"


def prepare(
    estimator: Any,
    table: Table,
    values: NDArray[Any],
    sample_weight: Any,
    began: float,
    listener: Listener | None,
    place: Place | None = None,
) -> tuple[TabularPreprocessor, PackTraining]:
    """Plan a pack, cut the rows into folds, and make the inputs.

    Parameters
    ----------
    estimator : TabularClassifier or TabularRegressor
        A regressor learns how its target is standardised.
    table : Table
        The feature columns.
    values : ndarray of shape (n_rows,)
        The labels or numbers of the target.
    sample_weight : array-like of shape (n_rows,) or None
    began : float
        When the fit began, by ``time.perf_counter``.
    listener : callable or None
    place : Place or None
        Where the checkpoint has the pack; None where there is none.

    Returns
    -------
    preprocessor : TabularPreprocessor
    training : PackTraining

    Raises
    ------
    DataError
        When the columns cannot be learned from.
    ValueError
        When the weights cannot be used.
    """
    task, is_set = estimator._task, bool(set_parameters(estimator))
    levels = quantile_levels(estimator)
    random_state = check_random_state(estimator.random_state)
    if place is not None:
        random_state = place.begin(random_state)
    given = read_weight(sample_weight, np.empty((len(values), 1)))
    classes, targets, weight = None, estimator._encode(values), given
    if task == "classification":
        classes, targets = np.unique(values, return_inverse=True)
        weights = ClassTargets("log_loss", class_weight=estimator.class_weight)
        weight = weights.learned_from(values).row_weight(values, given)
    if weight is not None and weight.min() < 0:
        raise ValueError("sample_weight must not be negative")
    n_rows = len(values) if weight is None else int(np.sum(weight > 0))
    if n_rows < 2:
        raise ValueError(
            f"the weights leave {n_rows} rows to learn from: check class_weight and sample_weight"
        )
    n_classes = 0 if classes is None else len(classes)
    plan, log_target = _plan(estimator, is_set, n_rows, n_classes), None
    if classes is not None and not is_set:
        plan = with_rare(plan, np.bincount(targets) / len(targets))
    if task == "regression" and not (levels or is_set) and estimator.effort != "low":
        log_target = LogTarget.learn(targets, -estimator.target_mean_ / estimator.target_scale_)
        if log_target is not None:
            plan = replace(plan, kinds=(*plan.kinds, OF_LOG))
    folds = stratified_folds(values, task, plan.n_folds, random_state, weight)
    preprocessor = TabularPreprocessor().set_output(transform="default")
    if is_set:
        inputs, means = preprocessor._learn_inputs_and_means(table, None, None)
    else:
        preprocessor.set_params(**plan.encoding, task=task)
        of_columns = values if task == "regression" else targets
        inputs, means = preprocessor._learn_inputs_and_means(table, of_columns, folds)

    problem = Problem(
        inputs,
        preprocessor.groups_,
        targets,
        folds,
        _network_maker(estimator, values, n_rows, is_set),
        # A set network knows the labels, by which its parameters may name classes.
        labels=values if is_set and classes is not None else targets,
        given_weight=given if is_set else weight,
        weight=weight,
        classes=classes,
        scale=1.0 if classes is not None else estimator.target_scale_,
        bounds=None if is_set or classes is not None else (targets.min(), targets.max()),
        log_target=log_target,
        levels=levels,
        means=means,
    )
    training = PackTraining(
        problem,
        plan,
        random_state,
        n_jobs=estimator.n_jobs,
        device=estimator.device,
        began=began,
        time_limit=estimator.time_limit,
        listener=listener,
        place=place,
    )
    return preprocessor, training


def _plan(estimator: Any, is_set: bool, n_rows: int, n_classes: int) -> Plan:
    if not is_set:
        return plan_for(n_rows, estimator.effort, estimator.members, n_classes)
    n_folds = max(2, min(estimator.members, n_rows // 2))
    return Plan((Kind(NETWORK, "base", "base"),), n_folds, n_folds, has_race=False)


def _network_maker(estimator: Any, values: NDArray[Any], n_rows: int, is_set: bool) -> MakeNetwork:
    """Return what makes the networks: of the parameters that are set, or else of their kinds."""

    def make_network(kind: Kind, n_trained: int, seed: int) -> Any:
        if is_set:
            parameters = estimator._network_parameters(values)
            if parameters["batch_size"] != "auto":
                parameters["batch_size"] = min(parameters["batch_size"], n_trained)
            # Rows are held out in any case.
            if estimator.early_stopping == "auto":
                parameters["early_stopping"] = estimator.swa_start is None
            if parameters["scoring"] is None and n_rows - n_trained < 2:
                parameters["scoring"] = "loss"  # R^2 needs two rows
        else:
            parameters = kind.network_parameters(
                estimator._task, n_trained, quantile_levels(estimator)
            )
            for name in ("n_jobs", "device", "monitor"):
                parameters[name] = getattr(estimator, name)
        return estimator._network_class(**{**parameters, "random_state": seed})

    return make_network
