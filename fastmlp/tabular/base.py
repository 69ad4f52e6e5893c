"""What TabularClassifier and TabularRegressor share: preparing a table and training on it."""

import warnings
from inspect import signature

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from ..estimators._sklearn import StrOptions
from ..exceptions import DivergenceError
from .columns import check_complete, check_learnable, target_called
from .frames import read_frame, read_target
from .preprocessing import TabularPreprocessor, all_or_nothing

_FEWEST_ROWS_FOR_EARLY_STOPPING = 300
# Columns and levels are learned anew in each fit, and each epoch can be seen by a callback.
_NOT_FOR_TABLES = {"verbose", "warm_start"}


def constraints_of(network):
    """The constraints of a network's parameters, with those that a table changes."""
    constraints = network._parameter_constraints
    constraints = {k: v for k, v in constraints.items() if k not in _NOT_FOR_TABLES}
    return {**constraints, "early_stopping": [StrOptions({"auto"}), "boolean"]}


_SHARED_PARAMETERS = """\
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(128, 64)
        Units of each hidden layer; ``()`` is a linear model.
    activation : str or sequence of str, default='relu'
        Activation of the hidden layers, or one for each, as for :class:`fastmlp.{network}`.
    alpha : float, default=0.0001
        L2 penalty.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto' is a fiftieth of the training rows, between 16 and 256. It
        is never more than there are rows.
    learning_rate_init : float, default=0.001
        Initial learning rate; the peak of every `lr_schedule`.
    max_iter : int, default=200
        Most epochs.
    random_state : int, RandomState instance or None, default=0
        Source of the initial weights, the shuffles, the validation split and the dropout.
    early_stopping : bool or 'auto', default='auto'
        Whether to hold `validation_fraction` of the rows out and keep the best epoch. 'auto' is
        True from 300 rows on, unless `swa_start` is set. Of two classes both need two rows,
        else no rows are held out.
    n_iter_no_change : int, default=12
        Training stalls after more than this many epochs in a row without an improvement.
    n_jobs : int or None, default=None
        Threads; None is all.
    device : {'cpu', 'cuda', 'auto'}, default='cpu'
        Where to train and predict, as for :class:`fastmlp.{network}`.
    solver, learning_rate, lr_schedule, power_t, shuffle, tol, max_fun : object
        Optimiser, schedule of the learning rate and end of training, as for
        :class:`fastmlp.{network}`.
    momentum, nesterovs_momentum, momentum_form : object
        Settings of ``solver='sgd'``, as for :class:`fastmlp.{network}`.
    beta_1, beta_2, epsilon, rmsprop_decay : object
        Settings of the optimisers that scale steps, as for :class:`fastmlp.{network}`.
    weight_decay, l1, max_norm, dropout, clip_value, clip_norm : object
        Regularisation and limits of the gradient, as for :class:`fastmlp.{network}`.
    validation_fraction, scoring, swa_start : object
        Which rows are held out, how they are scored, and averages of weights, as for
        :class:`fastmlp.{network}`.
    init, monitor, diagnose : object
        Initial weights, further records in ``estimator_.history_``, and warnings of fits that
        went wrong, as for :class:`fastmlp.{network}`.
"""

_SHARED_ATTRIBUTES = """\
    preprocessor_ : TabularPreprocessor
        From the columns to the network's inputs.
    estimator_ : {network}
        The network.
    columns_ : list of dict
        What became of each column: see :class:`fastmlp.TabularPreprocessor`.
    target_name_ : object
        Name of the y that was passed; None without one.
    n_iter_ : int
        Epochs of training.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_columns,)
        Their names, when all are strings.
    report_ : dict
        Only after :func:`fastmlp.tabular.train.train_table` or the command line: rows, columns,
        epochs, seconds, and the metrics on rows that were held out.
    na_values_ : list of str
        Only after these: marks of missing values in the file that was trained on.
"""


def with_shared_docs(cls):
    """Fill the places of a class's docstring that are the same for both estimators."""
    for place, text in (("parameters", _SHARED_PARAMETERS), ("attributes", _SHARED_ATTRIBUTES)):
        shared = text.replace("{network}", cls._network_class.__name__)
        if cls.__doc__ is not None:  # python -OO removes docstrings
            cls.__doc__ = cls.__doc__.replace(f"    <shared {place}>\n", shared)
    return cls


class BaseTabular(BaseEstimator):
    """What the classifier and the regressor share.

    A subclass has ``_task`` (the word for it), ``_network_class``, ``_target(y)`` (the array of
    labels or numbers in a series), ``_encode(values)`` (what the network is trained on) and
    ``_can_hold_out(values)`` (whether rows can be set aside for early stopping).
    """

    # scikit-learn's metadata routing splits data by rows; a callback has none to split.
    __metadata_request__fit = {"callback": UNUSED}  # noqa: RUF012

    def __setstate__(self, state):
        # Parameters that the version which saved it did not have.
        defaults = {k: p.default for k, p in signature(type(self)).parameters.items()}
        super().__setstate__({**defaults, **state})

    def _fit(self, X, y, callback):
        self._validate_params()
        with all_or_nothing(self):
            caught = self._train(X, read_target(self, y), callback)
        # Warnings may be errors: what was learned is kept by now.
        for warning in caught:
            warnings.warn(warning.message, stacklevel=3)
        return self

    def _train(self, X, y, callback):
        """Set the fitted attributes; the warnings of the network's fit."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        frame = read_frame(self, X, reset=True)
        check_consistent_length(frame, y)
        check_complete(y)
        preprocessor = TabularPreprocessor().set_output(transform="default")
        inputs = preprocessor.fit_transform(frame)
        values = self._target(y)
        check_learnable(values, self._task, target_called(y))
        targets = self._encode(values)
        network = self._network_class(**self._network_parameters(values))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                network.fit(inputs, targets, callback=callback)
            except DivergenceError as error:
                error.__notes__.clear()  # they tell of a network that nobody will see
                raise
        self.preprocessor_, self.estimator_ = preprocessor, network
        self.columns_ = preprocessor.columns_
        self.target_name_ = y.name
        self.n_iter_ = network.n_iter_
        return caught

    def _network_parameters(self, values):
        """The parameters of the network, for so many rows."""
        parameters = self.get_params(deep=False)
        n_rows = len(values)
        early_stopping = self.early_stopping
        if isinstance(early_stopping, str):
            early_stopping = n_rows >= _FEWEST_ROWS_FOR_EARLY_STOPPING and self.swa_start is None
        early_stopping = bool(early_stopping) and self._can_hold_out(values)
        batch_size = self.batch_size
        if self.solver != "gd":  # which takes all rows, and refuses any other number
            if isinstance(batch_size, str):
                batch_size = int(np.clip(n_rows // 50, 16, 256))
            most = max(1, int(0.9 * n_rows)) if early_stopping else n_rows
            batch_size = min(batch_size, most)
        return {**parameters, "early_stopping": early_stopping, "batch_size": batch_size}

    def _can_hold_out(self, values):
        return True

    def _inputs(self, X):
        """The network's inputs for the rows of a table."""
        check_is_fitted(self)
        return self.preprocessor_.transform(read_frame(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags
