"""From the statistics of a table to a model that is trained on its shards, wherever these lie."""

import time
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..exceptions import DataError, InputError
from ..tabular.base import _SINGLE_NETWORK
from ..tabular.call import with_network
from ..tabular.columns import decide_task
from ..tabular.csv import listed
from ..tabular.frames import read_frame
from ..tabular.metrics import baseline_metrics, classification_metrics, regression_metrics
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.quantiles import fitted_levels, quantile_metrics
from ..tabular.reports import report_on
from ..tabular.table import settle_table, warn_of
from ..tabular.targets import labels_like, numeric_target, plain_target, target_values
from ..tabular.train import make_estimator
from ..training.keeping import Place
from . import training
from .bags import bag_of, seeds_of
from .dealing import Dealer, dealer_for, n_inputs_of
from .digests import known_of_table, of_table
from .keeping import KeptCourses
from .statistics import Statistics
from .training import StreamedNetwork

_MOST_TEST = 1_000_000
_NO_PACKS = "a pack needs the table in memory"
_NOT_STREAMED = {
    "time_limit": "there is no limit of the time; use max_iter",
    "class_weight": "classes are not weighed",
    "swa_start": "weights are not averaged",
    "monitor": "the gradient is not measured",
}


class Endings(NamedTuple):
    """How training has ended."""

    converged: bool
    interrupted: bool


class Runner(Protocol):
    """Who deals the rows of a table to shards, and makes the visits of networks.

    Attributes
    ----------
    where : str
        A clause on the table, for messages.
    """

    where: str

    def deal(self, dealer: Dealer) -> dict[str, int]:
        """Deal all rows; return the number of rows of each shard that has some."""

    def sums(self, dealer: Dealer) -> NDArray[np.uint64]:
        """Return the sums of all rows that have been dealt; see :meth:`Dealer.sums`."""

    def train(
        self,
        dealer: Dealer,
        networks: list[StreamedNetwork],
        seeds: list[int],
        shards: list[str],
        kept: KeptCourses,
    ) -> Endings:
        """Train networks by visits to shards; Ctrl-C can leave out some."""

    def rows(self, name: str, step: int) -> NDArray[Any]:
        """Return every row of a shard, or one of so many, in their compact form."""


def check_parameters(
    task: str, test_size: float, parameters: dict[str, Any], where: str = "where a table streams"
) -> None:
    """Refuse what cannot be used where a table is trained on in shards; messages say `where`.

    Raises
    ------
    InputError
        When a parameter needs the table in memory.
    ValueError
        When `task` or `test_size` has no possible value.
    """
    if task not in ("auto", "classification", "regression"):
        raise ValueError(f"task must be auto, classification or regression, got {task!r}")
    if not 0 <= test_size < 1:
        raise ValueError(f"test_size must be at least 0 and less than 1, got {test_size}")
    for name, why in _NOT_STREAMED.items():
        if parameters.get(name) not in (None, "auto", False):
            raise InputError(f"`{name}` cannot be used {where}: {why}")
    if isinstance(parameters.get("threshold"), str | Mapping):
        raise InputError(
            f"`threshold` must be a number {where}: it is not chosen on rows that are left out"
        )
    if parameters.get("effort", "low") not in ("low", "default"):
        raise InputError(f"`effort` cannot be used here: {_NO_PACKS}")
    if parameters.get("solver") in ("lbfgs", "gd"):
        raise InputError(
            f"solver={parameters['solver']!r} needs the table in memory; use solver='adam'"
        )


def train_by_shards(
    runner: Runner,
    found: Statistics,
    task: str,
    test_size: float,
    seed: int,
    parameters: dict[str, Any],
    began: float,
    choose_members: Callable[[Any], int],
    place: Place | None = None,
) -> Any:
    """Train a model on a table that has been looked at.

    Parameters
    ----------
    runner : Runner
    found : Statistics
    task : {'auto', 'classification', 'regression'}
    test_size : float
    seed : int
    parameters : dict
        Parameters of the estimator.
    began : float
        When all began, by ``time.perf_counter``.
    choose_members : callable
        ``choose_members(model)`` gives the number of networks.
    place : Place or None, default=None
        That of the training in its checkpoint; None where there is none.

    Returns
    -------
    TabularClassifier or TabularRegressor
        With ``report_``.

    Raises
    ------
    DataError
        When the table cannot be learned from.
    InputError
        When the checkpoint is of another training.
    """
    model, classes, reason = _prepared(found, task, {**parameters, "random_state": seed})
    dealer = dealer_for(model, classes, found, test_size, seed)
    n_networks = choose_members(model)
    known = known_of_table(model, found, test_size, n_networks, dealer.deal.n_shards)
    if place is not None:
        place.keeper.compare(known)  # to deal all rows takes a while
    counts = runner.deal(dealer)
    if sum(counts.values()) != found.n_rows:
        raise DataError("the table has changed while it was read; start again")
    names = [name for name in dealer.deal.names() if counts.get(name)]
    if not names:
        raise DataError("there are no rows left to train on; use more rows or test_size=0")
    if place is not None:
        place.keeper.check(lambda: of_table(dealer, known, runner.sums(dealer)))
    seeds = seeds_of(seed, n_networks)
    n_trained = sum(counts[name] for name in names)
    networks = [_begun(dealer, n_trained, bool(counts.get("validation")), one) for one in seeds]
    kept = KeptCourses(place, lambda some: with_network(model, _together(dealer, some, None)))
    endings = runner.train(dealer, networks, seeds, names, kept)
    # Ctrl-C can leave out networks.
    trained = [one.network for one in networks if getattr(one.network, "n_iter_", 0)]
    held = None
    if len(trained) > 1 and counts.get("validation"):
        held = runner.rows("validation", 1)
    model.estimator_ = _together(dealer, trained or [networks[0].network], held)
    model.n_iter_ = model.estimator_.n_iter_
    why = f"because {runner.where}: packs need it in memory"
    many = f"{n_networks} networks of one kind, whose mean predicts, {why}"
    model.report_ = {
        "rows": found.n_rows,
        "train_rows": found.n_trained,
        "test_rows": counts.get("test", 0),
        "target": found.target,
        "task": model._task,
        "task_reason": reason,
        **report_on(model, time.perf_counter() - began),
        "why": f"one network, {why}" if n_networks == 1 else many,
        **endings._asdict(),
    }
    if model.report_["test_rows"]:
        rows = runner.rows("test", -(-counts["test"] // _MOST_TEST))
        _measure(dealer, rows, plain_target(found.sample[found.target]), model.report_)
    return model


def _together(dealer: Dealer, trained: list[Any], held: NDArray[Any] | None) -> Any:
    """Return the only one of some networks, or a bag of several; see :func:`bag_of`."""
    return trained[0] if len(trained) == 1 else bag_of(dealer, trained, held)


def _begun(dealer: Dealer, n_trained: int, is_validated: bool, seed: int) -> StreamedNetwork:
    """Begin a network of a model, for so many rows of training."""
    model, classes = dealer.model, dealer.classes
    parameters = model._network_parameters(np.zeros(n_trained))
    parameters["early_stopping"] = is_validated
    known = signature(model._network_class).parameters
    network = model._network_class(**{k: v for k, v in parameters.items() if k in known})
    first = np.zeros(2) if classes is None else classes
    return training.begin(network, n_inputs_of(model), first, seed)


def _prepared(
    found: Statistics, task: str, parameters: dict[str, Any]
) -> tuple[Any, NDArray[Any] | None, str]:
    """Make the estimator, and let its preprocessor learn from the sample.

    Returns
    -------
    model : TabularClassifier or TabularRegressor
    classes : ndarray or None
        The class labels; None for a regression.
    reason : str
        Why the task was chosen, if the user has not.
    """
    features = found.sample.drop(columns=found.target)
    if not len(features.columns):
        raise DataError(f"there is no column but the target {found.target!r}; features are needed")
    y = plain_target(found.sample[found.target])
    table = settle_table(features, y)
    every = y if found.target_values is None else _series(found, y)
    reason = ""
    if task == "auto":
        task, reason = decide_task(_like_all(every, found.n_rows), table.target_form)
    model = make_estimator(
        task, {"hidden_layer_sizes": _SINGLE_NETWORK["hidden_layer_sizes"], **parameters}
    )
    classes = None
    if task == "classification":
        if found.target_values is None:
            raise DataError(
                f"target column {found.target!r} has very many different values; use "
                "task='regression' if they are numbers"
            )
        classes = np.unique(target_values(every, task))
        values: NDArray[Any] = labels_like(classes, y)
        many = classes.repeat(max(1, min(10, found.n_rows // len(classes))))  # as if of all rows
        model._check_learnable(many, f"target column {found.target!r}")
    else:
        values = target_values(y, task, table.target_form)
        model._check_learnable(values, f"target column {found.target!r}")
        model._encode(values)  # learns the mean and the scale
    read_frame(model, table.frame, reset=True)
    preprocessor = TabularPreprocessor().set_output(transform="default")
    preprocessor._learn(table, None, None)
    model._know_columns(preprocessor, table, values)
    model.target_name_ = found.target
    model.target_format_ = table.target_form if task == "regression" else ""
    model.reading_ = found.record
    model.na_values_ = listed(found.record.get("na_values", ()))
    warn_of(preprocessor._remarks())
    return model, classes, reason


def _like_all(every: Any, n_rows: int) -> Any:
    """Repeat the different values of a target, of which there are few beside the rows."""
    times = min(n_rows, 5 * len(every)) // max(1, len(every))
    return every.repeat(max(1, times)).reset_index(drop=True)


def _series(found: Statistics, y: Any) -> Any:
    """Return the different values of the target of all rows, with the type of the sample's."""
    values = type(y)(found.target_values, name=y.name)
    return plain_target(values)


def _measure(dealer: Dealer, rows: NDArray[Any], trained: Any, report: dict[str, Any]) -> None:
    """Measure a model on rows that are held out.

    `trained` is the target of the sample, of which the trivial prediction is made.
    """
    model, classes, outputs = dealer.model, dealer.classes, []
    for start in range(0, len(rows), 50_000):
        part = dealer.inputs(rows[start : start + 50_000])
        if classes is None:
            outputs.append(model._predictions(model.estimator_.predict(part)))
        else:
            outputs.append(model.estimator_.predict_proba(part))
    predicted, targets = np.concatenate(outputs), np.array(rows["target"])
    levels = fitted_levels(model)
    if classes is not None:
        values = classes[targets]
        known, threshold = np.ones(len(values), dtype=bool), getattr(model, "threshold_", 0.5)
        report["test"] = classification_metrics(values, predicted, classes, known, threshold)
        trained = labels_like(classes, trained)
    else:
        values = targets
        report["test"] = (
            quantile_metrics(values, predicted, levels)
            if levels
            else regression_metrics(values, predicted)
        )
        trained = numeric_target(trained, "or use task='classification'", model.target_format_)
    report["baseline"] = baseline_metrics(report["task"], trained, values, levels)
