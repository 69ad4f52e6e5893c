"""The common base of TabularClassifier and TabularRegressor: preparing and training on a table."""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ..estimators._sklearn import Interval, StrOptions, validate_parameters
from ..estimators.parameters import parameter_docs
from ..estimators.transaction import Transaction, WholeReads
from ..exceptions import DataError, DivergenceError, InterruptedTrainingWarning, warn_user
from ..training.checkpoint import CheckpointPath
from ..training.history import Epoch
from ..training.keeping import Place, kept
from .call import Callback, Clock, TableFit, with_network
from .checkpoints import fingerprint
from .frames import read_frame, read_target
from .pack.members import MemberDone, Pack
from .pack.preparation import is_one_network, prepare
from .pack.problem import OutOfFold
from .preprocessing import TabularPreprocessor
from .several import train_several
from .table import Table, copies_of_target, settle_table, warn_of
from .targets import check_complete, check_learnable, target_called

_FEWEST_ROWS_FOR_EARLY_STOPPING = 300
# What 'auto' stands for in a single network, and where a network of a pack is described.
_SINGLE_NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (128, 64),
    "activation": "relu",
    "solver": "adam",
    "alpha": 0.0001,
    "learning_rate_init": 0.001,
    "max_iter": 200,
    "n_iter_no_change": 12,
    "tol": 0.0001,
    "beta_2": 0.999,
    "dropout": 0.0,
    "validation_fraction": 0.1,
}
# Parameters of a network that an estimator for tables does not have. Every fit learns columns and
# levels anew, so that it cannot continue from earlier weights, and a callback can print progress.
_NOT_FOR_TABLES = {"verbose", "warm_start"}


def constraints_of(network: Any) -> dict[str, list[Any]]:
    """Return the constraints of the parameters of an estimator for tables.

    Parameters
    ----------
    network : class
        The class of the network inside it, whose parameters it has with few exceptions.

    Returns
    -------
    dict of str to list
        In the form of scikit-learn's ``_parameter_constraints``.
    """
    constraints: dict[str, list[Any]] = network._parameter_constraints
    constraints = {k: v for k, v in constraints.items() if k not in _NOT_FOR_TABLES}
    return {
        **constraints,
        **{name: [StrOptions({"auto"}), *constraints[name]] for name in _SINGLE_NETWORK},
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "effort": [StrOptions({"low", "default", "high"})],
        "members": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    }


# The parameters whose defaults or meanings are not those of the networks.
_OWN_PARAMETERS = {
    "hidden_layer_sizes": """\
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(128, 64)
        Number of units of each hidden layer; ``()`` is a linear model.
""",
    "beta_1": """\
    beta_1 : float, default=0.9
        Decay of the running mean of the gradient, for 'adam', 'adamw' and 'nadam'.
""",
    "beta_2": """\
    beta_2 : float, default=0.999
        Decay of the running mean of the gradient's square, for the same solvers.
""",
    "batch_size": """\
    batch_size : int or 'auto', default='auto'
        Number of rows of a mini-batch. 'auto' is a fiftieth of the training rows, but at least
        16 and at most 256. A batch never has more rows than there are to train on.
""",
    "random_state": """\
    random_state : int, RandomState instance or None, default=0
        Source of the initial weights, the shuffles, the validation split and the dropout. It is
        not None, unlike that of the networks, so that the same table gives the same model
        without any setting. Several fits that shall differ need different seeds.
""",
    "early_stopping": """\
    early_stopping : bool or 'auto', default='auto'
        Whether to hold out `validation_fraction` of the rows and keep the weights of the epoch
        that predicts them best. 'auto' is True for 300 rows and more, unless `swa_start` is set.
        No rows are held out if there are two classes and one of them has a single row.
""",
    "n_iter_no_change": """\
    n_iter_no_change : int, default=12
        Training stalls after more than this many epochs in a row without an improvement.
""",
    "swa_start": """\
    swa_start : int or None, default=None
        Stochastic weight averaging (Izmailov et al., 2018): the fitted weights are the mean of
        those after each epoch from this one on, counted from 1. It cannot be used with
        ``early_stopping=True`` or 'lbfgs'.
""",
    "monitor": """\
    monitor : bool, default=False
        Whether ``estimator_.history_`` also has the gradient's norm and the share of dead relu
        units of each layer. To measure them takes a little time in each step and epoch.
""",
}
_OF_PACKS = {
    "effort": """\
    effort : {'low', 'default', 'high'}, default='default'
        How much is tried where no parameter of a network is set. With 'default' the model is a
        pack: networks of several kinds over folds of the rows, weighed by how well they predict
        rows that they have not seen. 'low' trains one network, 'high' every kind on every fold.
""",
    "members": """\
    members : int or 'auto', default='auto'
        About how many networks a pack has at most. Where a parameter of a network is set 'auto' is
        a single one, and a number that many networks of these parameters, each of which holds out
        another fold of the rows; predictions are their mean.
""",
    "time_limit": """\
    time_limit : float or None, default=None
        Seconds that a fit may take. The model then is what was trained until the limit; the
        result depends on the speed of the machine.
""",
}

_FIT_ARGUMENTS = """\
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row in the loss and in the validation score. The columns and the
            target are prepared as if all rows had the same weight.
        callback : callable, optional
            It is called after each epoch of a single network with a :class:`fastmlp.Epoch`, and
            after each network of a pack with a ``fastmlp.tabular.pack.members.MemberDone``;
            training stops when it returns True. While it runs the estimator is as if training had
            ended with this epoch or network: it can predict, and be copied or saved.
        checkpoint : str, Path or Checkpoint, optional
            File in which the state of training is kept, so that the same fit in another process
            goes on with it where this one is killed; see :class:`fastmlp.Checkpoint`. In a pack
            the networks that are done are kept, and those in training go on.
"""

_SHARED_ATTRIBUTES = """\
    preprocessor_ : TabularPreprocessor
        Converts the columns of a table to the inputs of the networks.
    estimator_ : {network} or Pack
        The trained network, or the trained networks of a pack, which is a
        ``fastmlp.tabular.pack.members.Pack``.
    columns_ : list of dict
        Describes each column, as ``columns_`` of :class:`fastmlp.TabularPreprocessor`.
    target_name_ : object
        Name of the y that was passed to ``fit``; None if it had no name. A list for several
        targets.
    target_format_ : str
        How the numbers of y were written as text, such as ``1.234,5 EUR``; '' for plain numbers
        and for classes. A list for several targets.
    n_iter_ : int
        Number of epochs that were trained, by all networks together.
    n_features_in_ : int
        Number of columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns seen in ``fit``. Defined only if all of them are strings.
    report_ : dict
        Numbers of rows, columns, epochs and seconds, and the metrics on held-out rows. Defined
        only after :func:`fastmlp.train_table` or the command line.
    reading_ : dict
        How the table was read that was trained on, if :func:`fastmlp.tabular.csv.read_table`
        read it. Defined only where ``report_`` is.
    na_values_ : list of str
        Marks of missing values in the file that was trained on. Defined only where ``report_``
        is.
    trained_rows_ : ndarray of shape (n_hashes,), uint32
        Hashes of rows that were trained on, at most 2000; see :mod:`fastmlp.tabular.trained_rows`.
        Defined only after :func:`fastmlp.train_table`.
"""


_Class = TypeVar("_Class", bound="type[BaseTabular]")


def with_shared_docs(cls: _Class) -> _Class:
    """Insert the documentation that is shared into the docstrings of a class and of its ``fit``.

    Parameters come in the order of the signature, with the words of the networks wherever their
    meaning and default are the same.
    """
    entries = {**parameter_docs(), **_OWN_PARAMETERS}
    for name, value in _SINGLE_NETWORK.items():
        header, text = entries[name].split("\n", 1)
        header = header.rpartition(", default=")[0]
        entries[name] = (
            f"{header} or 'auto', default='auto'\n{text}"
            f"        In a single network 'auto' is {value!r}.\n"
        )
    parameters = "".join(entries[name] for name in signature(cls).parameters if name in entries)
    network = cls._network_class.__name__
    places = {
        "    <shared parameters>\n": parameters,
        "    <parameters of packs>\n": "".join(_OF_PACKS.values()),
        "    <shared attributes>\n": _SHARED_ATTRIBUTES.replace("{network}", network),
        "        <arguments of fit>\n": _FIT_ARGUMENTS,
    }
    for documented in (cls, cls.fit):
        for place, text in places.items():
            if documented.__doc__ is not None:  # python -OO removes docstrings
                documented.__doc__ = documented.__doc__.replace(place, text)
    return cls


class BaseTabular(WholeReads, BaseEstimator):
    """The common base of the classifier and the regressor.

    A subclass sets ``_task`` and ``_network_class`` and defines ``_target`` and ``_encode``.
    """

    _task: ClassVar[str]
    _network_class: ClassVar[type[Any]]
    early_stopping: bool | str
    batch_size: int | str
    solver: str
    swa_start: int | None
    device: str
    n_jobs: int | None
    random_state: Any
    effort: str
    members: int | str
    time_limit: float | None

    # scikit-learn's metadata routing splits metadata by rows, and a callback has no rows.
    __metadata_request__fit = {"callback": UNUSED, "checkpoint": UNUSED}  # noqa: RUF012

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_") or hasattr(self, "models_")

    def __setstate__(self, state: dict[str, Any]) -> None:
        # An older version may have saved the estimator without parameters that are newer.
        defaults = {k: p.default for k, p in signature(type(self)).parameters.items()}
        super().__setstate__({**defaults, **state})

    def _target(self, y: pd.Series, form: str = "") -> NDArray[Any]:
        """Return the labels or numbers in a target as an array of shape (n_rows,).

        The numbers may be written as text in a form.

        Raises
        ------
        DataError
            When they are not what the estimator predicts.
        """
        raise NotImplementedError

    def _encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what the network is trained on for the labels or numbers in a target."""
        raise NotImplementedError

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        callback: Callback | None = None,
        checkpoint: CheckpointPath = None,
    ) -> Self:
        """Prepare the columns and train a network on them; see the subclasses."""
        raise NotImplementedError

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        callback: Callback | None,
        checkpoint: CheckpointPath,
    ) -> Self:
        with kept(checkpoint) as place:
            return self._fit_kept(X, y, sample_weight, callback, place)

    def _fit_kept(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        callback: Callback | None,
        place: Place | None,
    ) -> Self:
        began = time.perf_counter()
        validate_parameters(self)
        targets = self._read_targets(y)
        # While some of several targets have no model yet, a callback sees the estimator of before.
        ends = ("estimator_", "n_iter_") if len(targets) == 1 else ()
        transaction = Transaction(self, ends)
        try:
            draft = transaction.draft
            fit = TableFit(transaction, began, self.time_limit, callback, sample_weight, place)
            if len(targets) == 1:
                remarks, raised = draft._train(X, targets[0], fit)
            else:
                remarks, raised = train_several(draft, X, targets, fit)
            transaction.commit()
        except BaseException:
            transaction.rollback()
            raise
        if raised is not None:
            raise raised
        for warning in fit.warnings:
            warn_user(warning)
        warn_of(remarks)
        return self

    def _read_targets(self, y: Any) -> list[pd.Series]:
        """Return the target, or the targets of an estimator that can predict several."""
        return [read_target(self, y)]

    def _train(self, X: Any, y: pd.Series, fit: "TableFit") -> tuple[list[str], Warning | None]:
        """Set the fitted attributes of this draft, and return remarks on the table for the user.

        A callback sees the attributes of each epoch, or of each network of a pack.

        X may be a :class:`Table`, whose columns have been looked at before. A filter may turn the
        warnings of the network's fit into errors. The network keeps what it has learned then, and
        so does this estimator: the warning is returned, to be raised when all attributes are set.
        """
        self._forget_fit()
        frame = read_frame(self, X.frame if isinstance(X, Table) else X, reset=True)
        check_consistent_length(frame, y)
        if len(frame) < 2:
            raise DataError("X has 1 sample; medians, scales and levels need at least 2")
        check_complete(y)
        table = X if isinstance(X, Table) else settle_table(frame, y)
        values = self._target(y, table.target_form)
        self._check_learnable(values, target_called(y))
        if fit.place is not None:
            weight = fit.sample_weight
            fit.place.keeper.check(lambda: fingerprint(self, table.frame, [values], weight))
        self.target_name_ = y.name
        self.target_format_ = table.target_form if self._task == "regression" else ""
        train = self._train_network if is_one_network(self) else self._train_pack
        raised = train(table, values, fit)
        self.n_iter_ = self.estimator_.n_iter_
        remarks = self.preprocessor_._remarks()
        if self.target_format_:
            remarks.insert(0, f"{target_called(y)} {table.target_note}")
        return remarks, raised

    def _forget_fit(self) -> None:
        """Remove all fitted attributes."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _check_learnable(self, values: NDArray[Any], called: str) -> None:
        """Raise an error for a target that cannot be learned with the parameters."""
        check_learnable(values, self._task, called)

    def _train_network(self, table: Table, values: NDArray[Any], fit: "TableFit") -> Warning | None:
        """Train one network; see :meth:`_train`."""
        preprocessor = TabularPreprocessor().set_output(transform="default")
        inputs = preprocessor._learn_inputs(table)
        self._know_columns(preprocessor, table, values)
        targets = self._encode(values)
        network = self._network_class(**self._network_parameters(values))

        def complete(epoch: Epoch, shown: Any, is_copied: bool) -> None:
            shown.estimator_, shown.n_iter_ = copy.copy(network), epoch.epoch

        told: Callback | None = None
        if fit.callback is not None:
            told = partial(fit.tell, complete)
        elif self.time_limit is not None:
            told = Clock(fit)
        raised, place = None, fit.place
        if place is not None and place.has_model:
            place = replace(place, finish=partial(with_network, self))
        try:
            network.fit(inputs, targets, fit.sample_weight, callback=told, checkpoint=place)
        except DivergenceError as error:
            # The notes tell of weights that are kept, but this network is thrown away.
            error.__notes__.clear()
            raise
        except Warning as warning:
            raised = warning
        self.estimator_ = network
        return raised

    def _train_pack(self, table: Table, values: NDArray[Any], fit: "TableFit") -> None:
        """Train several networks; see :meth:`_train`."""

        def listener(done: MemberDone, pack: Callable[[], Pack]) -> bool:
            def complete(done: MemberDone, shown: Any, is_copied: bool) -> None:
                shown.estimator_ = pack()
                shown.n_iter_ = shown.estimator_.n_iter_

            return fit.tell(complete, done)

        told = None if fit.callback is None else listener
        preprocessor, training = prepare(
            self, table, values, fit.sample_weight, fit.began, told, fit.place
        )
        self._know_columns(preprocessor, table, values)
        if fit.place is not None:

            def so_far() -> Any:
                found = training.pack_and_unseen()
                if found is None:
                    return None
                model = with_network(self, found[0])
                model._see_unseen(found[1], values, training.problem.weight)
                return model

            fit.place.offer_model(so_far)
        try:
            self.estimator_ = training.run()
        except DivergenceError as error:
            error.__notes__.clear()
            raise
        self._see_unseen(training.unseen, values, training.problem.weight)
        fit.warnings += training.warnings()
        if training.is_interrupted:
            fit.warnings.append(InterruptedTrainingWarning("Training interrupted by user."))

    def _know_columns(
        self, preprocessor: TabularPreprocessor, table: Table, values: NDArray[Any]
    ) -> None:
        """Keep the preprocessor, and note which columns are copies of the target."""
        for i, column in enumerate(preprocessor.columns_):
            if column["kind"] != "dropped" and not column["note"]:
                column["note"] = copies_of_target(table.frame.iloc[:, i], values, self._task)
        self.preprocessor_, self.columns_ = preprocessor, preprocessor.columns_

    def _see_unseen(
        self, unseen: OutOfFold, values: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> None:
        """Learn what the predictions of rows tell that the members of a pack have not seen.

        Parameters
        ----------
        unseen : OutOfFold
        values : ndarray of shape (n_rows,)
            The target of all rows.
        weight : ndarray of shape (n_rows,) or None
            Weight of each row, that of its class included.
        """

    def _network_parameters(self, values: NDArray[Any]) -> dict[str, Any]:
        """Return the parameters of the network for a target of shape (n_rows,)."""
        known = signature(self._network_class).parameters
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k in known}
        for name, value in _SINGLE_NETWORK.items():
            if isinstance(parameters[name], str) and parameters[name] == "auto":
                parameters[name] = value
        n_rows, solver = len(values), parameters["solver"]
        early_stopping = self.early_stopping
        if isinstance(early_stopping, str):
            early_stopping = n_rows >= _FEWEST_ROWS_FOR_EARLY_STOPPING and self.swa_start is None
        early_stopping = bool(early_stopping) and self._can_hold_out(values)
        if parameters["learning_rate"] != "constant" and solver not in ("gd", "sgd"):
            raise ValueError(
                f"learning_rate={parameters['learning_rate']!r} is a schedule for solver='sgd' and "
                f"'gd', and this is {solver!r}; use lr_schedule"
            )
        batch_size = self.batch_size
        # The solver 'gd' takes all rows in each step, and refuses a batch size.
        if solver != "gd":
            if isinstance(batch_size, str):
                batch_size = int(np.clip(n_rows // 50, 16, 256))
            most = max(1, int(0.9 * n_rows)) if early_stopping else n_rows
            batch_size = min(batch_size, most)
        return {**parameters, "early_stopping": early_stopping, "batch_size": batch_size}

    def _can_hold_out(self, values: NDArray[Any]) -> bool:
        """Tell whether rows of a target can be held out for early stopping."""
        return True

    def _inputs(self, X: Any) -> NDArray[np.float32]:
        """Return the network's inputs for the rows of a table."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # which takes longer
        return self.preprocessor_._inputs_of(self, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags
