"""What may stand where in a model file: the attributes of each class, and their types."""

import math
from collections.abc import Callable, Iterator
from inspect import signature
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import LabelBinarizer, OneHotEncoder, StandardScaler

from .. import schedules
from ..estimators.classifier import MLPClassifier
from ..estimators.regressor import MLPRegressor
from ..tabular.classifier import TabularClassifier
from ..tabular.dates import DATE_FORMS
from ..tabular.numbers import is_form
from ..tabular.pack.members import Member, Pack
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.regressor import TabularRegressor
from ..training.history import OptimizerState
from .archive import RefusedError
from .nodes import Record, called

# It is given a value and its place, and raises RefusedError for a value that may not stand there.
Check = Callable[[Any, str], None]


def check_contents(record: Record, place: str = "") -> None:
    """Raise RefusedError unless an object has the attributes of its class alone, of their types.

    Parameters
    ----------
    record : Record
        The objects within it are checked, too.
    place : str
        The attribute that it belongs to, for messages; empty for the model itself.
    """
    cls, checks = record.cls, _ATTRIBUTES[record.cls]
    if cls is TabularPreprocessor and "imputer_" in record.state:
        checks = _EARLIER_PREPROCESSOR
    elif cls is TabularRegressor and "models_" in record.state:
        checks = _SEVERAL_TARGETS
    parameters = signature(cls).parameters if cls in _WITH_PARAMETERS else ()
    if missing := checks.keys() - record.state.keys() - _MAY_LACK - _OF_SOME.get(cls, set()):
        raise RefusedError(f"{called(place)} has no attribute {missing.pop()!r}")
    for name, value in record.state.items():
        where = f"{place}.{name}" if place else name
        if name in checks:
            checks[name](value, where)
        elif name in parameters:
            _SPECIAL_PARAMETERS.get(name, _parameter)(value, where)
        elif cls in _WITH_FURTHER_ATTRIBUTES and _is_new_attribute(name, cls):
            _NEW_ATTRIBUTES.get(name, _plain)(value, where)
        else:
            raise RefusedError(f"{called(where)} is no attribute of a {cls.__name__}")
        for inner, inside in _records(value, where):
            check_contents(inner, inside)


def _records(value: Any, place: str) -> Iterator[tuple[Record, str]]:
    """Find the objects that an attribute holds, be it one or a list of them, and their places."""
    if isinstance(value, Record):
        yield value, place
    elif type(value) is list:
        for i, item in enumerate(value):
            yield from _records(item, f"{place}[{i}]")


# ---- kinds of values ---------------------------------------------------------------------


def _refuse(place: str, what: str) -> None:
    raise RefusedError(f"{called(place)} is no {what}")


def _plain(value: Any, place: str) -> None:
    """Accept what JSON can say, tuples, and single numbers of NumPy."""
    if isinstance(value, dict):
        for key, item in value.items():
            _plain(key, place)
            _plain(item, place)
    elif isinstance(value, list | tuple):
        for item in value:
            _plain(item, place)
    elif not (value is None or isinstance(value, str | bool | int | float | np.generic)):
        _refuse(place, "plain value")


def _parameter(value: Any, place: str) -> None:
    """Accept plain values, and vectors of numbers."""
    if not isinstance(value, np.ndarray):
        _plain(value, place)
    elif value.dtype.kind not in "biuf" or value.ndim != 1:
        _refuse(place, "vector of numbers")


def _label(value: Any, place: str) -> None:
    """Accept what a column can be called: a plain value that can be a key of a dict."""
    if isinstance(value, tuple):
        for item in value:
            _label(item, place)
    elif isinstance(value, dict | list | np.ndarray):
        _refuse(place, "name of a column")
    else:
        _plain(value, place)


def _text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        _refuse(place, "text")


def _form(value: Any, place: str) -> None:
    """Accept a form of numbers that this version reads, or empty text."""
    if not isinstance(value, str) or not is_form(value):
        _refuse(place, "form of numbers")


def _date_form(value: Any, place: str) -> None:
    """Accept a way of writing dates that this version reads."""
    if not isinstance(value, str) or value not in DATE_FORMS:
        _refuse(place, "form of dates")


def _truth(value: Any, place: str) -> None:
    if not isinstance(value, bool):
        _refuse(place, "truth value")


def _count(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        _refuse(place, "count")


def _number(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        _refuse(place, "number")


def _is(expected: Any) -> Check:
    """Accept one value, which may be not-a-number."""

    def check(value: Any, place: str) -> None:
        is_nan = isinstance(expected, float) and math.isnan(expected)
        same = math.isnan(value) if is_nan and isinstance(value, float) else value == expected
        if type(value) is not type(expected) or not same:
            raise RefusedError(f"{called(place)} is not {expected!r}")

    return check


def _optional(check: Check) -> Check:
    """Accept None as well."""
    return lambda value, place: None if value is None else check(value, place)


def _sequence(check: Check, *types: type) -> Check:
    """Accept a list, or a sequence of other types, of values that another check accepts."""

    def check_all(value: Any, place: str) -> None:
        if not isinstance(value, types or list):
            _refuse(place, "list")
        for i, item in enumerate(value):
            check(item, f"{place}[{i}]")

    return check_all


def _dict(check: Check, *required: str) -> Check:
    """Accept a dict by text, with values that another check accepts."""

    def check_all(value: Any, place: str) -> None:
        if type(value) is not dict or not all(isinstance(key, str) for key in value):
            _refuse(place, "dict")
        if missing := set(required) - value.keys():
            raise RefusedError(f"{called(place)} has no {missing.pop()!r}")
        for key, item in value.items():
            check(item, f"{place}[{key!r}]")

    return check_all


def _array(kinds: str, n_dimensions: int = 1) -> Check:
    """Accept an array of some kinds of types, as ``dtype.kind`` has them; O is text."""

    def check(value: Any, place: str) -> None:
        is_array = type(value) is np.ndarray
        if not is_array or value.dtype.kind not in kinds or value.ndim != n_dimensions:
            _refuse(place, f"array with {n_dimensions} dimension{'s' * (n_dimensions > 1)}")

    return check


def _object(*classes: Any) -> Check:
    """Accept an object of some classes."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Record) or value.cls not in classes:
            _refuse(place, " or ".join(sorted(cls.__name__ for cls in classes)))

    return check


def _random_state(value: Any, place: str) -> None:
    if not isinstance(value, np.random.RandomState):
        _refuse(place, "RandomState")


def _type(expected: Any) -> Check:
    """Accept a type of arrays."""

    def check(value: Any, place: str) -> None:
        if value is not expected and not (isinstance(value, np.dtype) and value == expected):
            raise RefusedError(f"{called(place)} is not {expected}")

    return check


def _either(first: Check, second: Check) -> Check:
    """Accept what one of two checks accepts."""

    def check(value: Any, place: str) -> None:
        try:
            first(value, place)
        except RefusedError:
            second(value, place)

    return check


# ---- the attributes of each class --------------------------------------------------------

_WITH_PARAMETERS = {
    MLPClassifier, MLPRegressor, TabularClassifier, TabularPreprocessor, TabularRegressor,
}  # fmt: skip
_SCHEDULES = set(schedules.SCHEDULES.values())
# Parameters that may be objects; the constraints of the estimator say more of all of them.
_SPECIAL_PARAMETERS: dict[str, Check] = {
    "random_state": _either(_plain, _random_state),
    "lr_schedule": _either(_plain, _object(*_SCHEDULES)),
}
# Models of tables may have more attributes than this version knows, if these are plain values.
_WITH_FURTHER_ATTRIBUTES = {
    TabularClassifier, TabularPreprocessor, TabularRegressor,
}  # fmt: skip


def _is_new_attribute(name: str, cls: Any) -> bool:
    """Tell whether this can be a fitted attribute that hides nothing of its class."""
    is_fitted = name.isidentifier() and name[0] != "_" and name[-1] == "_"
    return is_fitted and not hasattr(cls, name)


_weights = _sequence(_array("f", 2))
_biases = _sequence(_array("f"))
_numbers = _sequence(_number)
_names = _array("O")
_a_column = _dict(_plain, "name", "kind", "reason", "note")
_output_config = _dict(_text)


def _column(value: Any, place: str) -> None:
    _a_column(value, place)
    for name, check in _OF_A_COLUMN.items():
        if name in value:
            check(value[name], f"{place}[{name!r}]")
    _label(value["name"], f"{place}['name']")


# What a column may be described by; the number of further plain entries may grow.
_OF_A_COLUMN: dict[str, Check] = {
    **dict.fromkeys(("kind", "reason", "note"), _text),
    "number_format": _form,
    "rare_share": _number,
    "date_form": _date_form,
}


def _kind_of_pack(value: Any, place: str) -> None:
    """Accept how a pack describes a kind of its networks, and further plain values."""
    _dict(_plain, *_OF_A_KIND)(value, place)
    for name, check in _OF_A_KIND.items():
        check(value[name], f"{place}[{name!r}]")


_OF_A_KIND: dict[str, Check] = {
    "kind": _text,
    "weight": _number,
    "folds": _count,
    "loss": _optional(_number),
    "epochs": _count,
    "seconds": _number,
    "inputs": _count,
}


def _target(value: Any, place: str) -> None:
    """Accept the name of a target, or a list of several."""
    (_sequence(_label) if type(value) is list else _label)(value, place)


def _report_of_target(value: Any, place: str) -> None:
    """Accept what is reported of one of several targets, and further plain values."""
    _dict(_plain, *_OF_A_TARGET)(value, place)
    for name in (_OF_A_TARGET | _ALSO_OF_A_TARGET).keys() & value.keys():
        check = _OF_A_TARGET.get(name) or _ALSO_OF_A_TARGET[name]
        check(value[name], f"{place}[{name!r}]")


def _report(value: Any, place: str) -> None:
    """Accept what :func:`fastmlp.train_table` reports, and further plain values."""
    _dict(_plain, *_REPORTED)(value, place)
    for name, check in _REPORTED.items():
        check(value[name], f"{place}[{name!r}]")
    for name in _ALSO_REPORTED.keys() & value.keys():
        _ALSO_REPORTED[name](value[name], f"{place}[{name!r}]")


def _labelled_texts(value: Any, place: str) -> None:
    if type(value) is not dict:
        _refuse(place, "dict")
    for key, item in value.items():
        _label(key, place)
        _text(item, place)


_REPORTED: dict[str, Check] = {
    "rows": _count,
    "train_rows": _count,
    "test_rows": _count,
    "target": _target,
    "task": _text,
    "task_reason": _text,
    "numeric_columns": _count,
    "text_columns": _count,
    "dropped_columns": _labelled_texts,
    "inputs": _count,
    "layers": _sequence(_count),
    "epochs": _count,
    "seconds": _number,
    "loss": _optional(_number),
    "validation_score": _optional(_number),
    "converged": _truth,
    "interrupted": _truth,
}
# What not every report has.
_ALSO_REPORTED: dict[str, Check] = {
    "test": _dict(_number),
    "baseline": _dict(_number),
    "why": _text,
    "date_columns": _count,
    "words_columns": _count,
    "pack": _sequence(_kind_of_pack),
    "networks": _count,
    "cut_short": _truth,
    "targets": _sequence(_report_of_target),
}
_OF_A_TARGET: dict[str, Check] = {
    "target": _label,
    **{name: _REPORTED[name] for name in ("inputs", "layers", "loss", "epochs")},
    "validation_score": _optional(_number),
}
_ALSO_OF_A_TARGET: dict[str, Check] = {
    **{name: _ALSO_REPORTED[name] for name in ("pack", "networks", "cut_short")},
    **dict.fromkeys(("test", "baseline"), _dict(_number, "r2", "rmse", "mae")),
}


def _reading(value: Any, place: str) -> None:
    """Accept how a table was read, by which tables for a prediction are read, too."""
    _dict(_plain)(value, place)
    for name, check in _OF_A_READING.items():
        if name in value:
            check(value[name], f"{place}[{name!r}]")
    if not value.get("header", True):
        _n_columns(value.get("n_columns"), f"{place}['n_columns']")


def _n_columns(value: Any, place: str) -> None:
    _count(value, place)
    if value > _MOST_COLUMNS:
        raise RefusedError(f"{called(place)} is more than {_MOST_COLUMNS}")


# A table without names gets them by the number of its columns, which take memory.
_MOST_COLUMNS = 10**6
_OF_A_READING: dict[str, Check] = {
    "decimal": _optional(_text),
    "header": _truth,
    "n_columns": _n_columns,
    "na_values": _sequence(_text),
    "text": _sequence(_text),
}
# What models of tables may have beside the attributes of all of them.
_NEW_ATTRIBUTES: dict[str, Check] = {
    "target_format_": _form,
    "reading_": _reading,
    "quantile_offsets_": _array("f"),
    "threshold_": _number,
}

_FEATURES: dict[str, Check] = {"n_features_in_": _count, "feature_names_in_": _names}
_OF_SCIKIT_LEARN: dict[str, Check] = {
    "n_features_in_": _count,
    "_sklearn_version": _text,
    "_sklearn_output_config": _dict(_is("default")),
}
_NETWORK: dict[str, Check] = {
    **_FEATURES,
    "coefs_": _weights,
    "intercepts_": _biases,
    "n_outputs_": _count,
    "n_layers_": _count,
    "n_iter_": _count,
    "t_": _number,
    "out_activation_": _text,
    "loss_": _optional(_number),
    "loss_curve_": _numbers,
    "history_": _dict(_sequence(_plain)),
    "best_loss_": _optional(_number),
    "validation_scores_": _optional(_numbers),
    "best_validation_score_": _optional(_number),
    "_best_coefs": _optional(_weights),
    "_best_intercepts": _optional(_biases),
    "_best_scoring": _optional(_text),
    "_no_improvement_count": _count,
    "_random_state": _random_state,
    "_optimizer": _object(OptimizerState),
    "_fastmlp_version": _text,
}
_TABULAR: dict[str, Check] = {
    **_FEATURES,
    "preprocessor_": _object(TabularPreprocessor),
    "columns_": _sequence(_column),
    "target_name_": _label,
    "n_iter_": _count,
    "na_values_": _sequence(_label),
    "report_": _report,
}
# A regressor for several targets has a model of each instead of networks of its own.
_SEVERAL_TARGETS: dict[str, Check] = {
    **{name: check for name, check in _TABULAR.items() if name != "preprocessor_"},
    "target_name_": _sequence(_label),
    "target_format_": _sequence(_form),
    "models_": _sequence(_object(TabularRegressor)),
}
_PREPROCESSOR: dict[str, Check] = {
    **_FEATURES,
    "columns_": _sequence(_column),
    "levels_": _sequence(_sequence(_text)),
    "_sklearn_output_config": _output_config,
}
# In files of version 0.1 it had transformers of scikit-learn.
_EARLIER_PREPROCESSOR: dict[str, Check] = {
    **_PREPROCESSOR,
    "imputer_": _optional(_object(SimpleImputer)),
    "scaler_": _optional(_object(StandardScaler)),
    "encoder_": _optional(_object(OneHotEncoder)),
}

_ATTRIBUTES: dict[Any, dict[str, Check]] = {
    MLPClassifier: {
        **_NETWORK,
        "classes_": _array("biufUMO"),
        "_label_binarizer": _object(LabelBinarizer),
    },
    MLPRegressor: {**_NETWORK, "_quantile_levels": _sequence(_number, list, tuple)},
    TabularClassifier: {**_TABULAR, "estimator_": _object(MLPClassifier, Pack)},
    TabularRegressor: {
        **_TABULAR,
        "estimator_": _object(MLPRegressor, Pack),
        "target_mean_": _number,
        "target_scale_": _number,
    },
    TabularPreprocessor: {
        **_PREPROCESSOR,
        "groups_": _dict(_sequence(_count, tuple)),
        "date_parts_": _sequence(_sequence(_text)),
        "word_terms_": _sequence(_array("i")),
        "word_weights_": _sequence(_array("f")),
        "word_components_": _sequence(_array("f", 2)),
        "level_inputs_": _sequence(_array("f", 2)),
        "level_means_": _sequence(_array("f", 2)),
        "is_binary_": _array("b"),
        "indicator_values_": _array("f", 2),
        **dict.fromkeys(("indicator_columns_", "piece_columns_", "linear_columns_"), _array("i")),
        **dict.fromkeys(("fill_values_", "centres_", "scales_"), _array("f")),
        **dict.fromkeys(("piece_starts_", "piece_widths_"), _array("f")),
        **dict.fromkeys(("linear_means_", "linear_scales_"), _array("f")),
    },
    Pack: {
        "members": _sequence(_object(Member)),
        "weights": _dict(_number),
        "bounds": _optional(_sequence(_number, tuple)),
        "kinds": _sequence(_kind_of_pack),
        "loss": _number,
        "score": _number,
        "is_cut_short": _truth,
        "n_iter_": _count,
        "classes_": _array("biufUMO"),
    },
    Member: {
        "kind": _text,
        "fold": _count,
        "network": _object(MLPClassifier, MLPRegressor),
        "start": _count,
        "stop": _count,
        "score": _number,
        "seconds": _number,
        "log_target": _optional(_sequence(_number, tuple)),
    },
    OptimizerState: {
        "schedule": _object(schedules.LearningRate),
        "constants": _dict(_either(_number, _truth)),
        "step": _count,
        "first": _optional(_array("f")),
        "second": _optional(_array("f")),
    },
    schedules.LearningRate: {
        "schedule": _object(*_SCHEDULES),
        "initial": _number,
        "horizon": _count,
        "learning_rate": _number,
        "epoch": _count,
        "n_samples_seen": _number,
        "best": _number,
        "waited": _count,
        "waited_at_rate": _count,
    },
    schedules.Adaptive: {},
    schedules.Constant: {},
    schedules.Cosine: {"min_rate": _number},
    schedules.InverseScaling: {"power_t": _number},
    schedules.MultiCycle: {"cycles": _count},
    schedules.OneCycle: dict.fromkeys(("warmup", "start_factor", "end_factor"), _number),
    schedules.Plateau: {"factor": _number, "patience": _number, "min_rate": _number},
    schedules.Step: {"every": _count, "factor": _number},
    SimpleImputer: {
        **_OF_SCIKIT_LEARN,
        "missing_values": _is(math.nan),
        "add_indicator": _is(True),
        "keep_empty_features": _is(False),
        "strategy": _is("median"),
        "fill_value": _is(None),
        "copy": _is(True),
        "_fit_dtype": _type(np.dtype(np.float64)),
        "_fill_dtype": _type(np.dtype(np.float64)),
        "indicator_": _optional(_object(MissingIndicator)),
        "statistics_": _array("f"),
    },
    MissingIndicator: {
        **_OF_SCIKIT_LEARN,
        "missing_values": _is(math.nan),
        "features": _is("missing-only"),
        "sparse": _is("auto"),
        "error_on_new": _is(False),
        "_precomputed": _is(True),
        "_n_features": _count,
        "features_": _array("i"),
    },
    StandardScaler: {
        **_OF_SCIKIT_LEARN,
        "with_mean": _is(True),
        "with_std": _is(True),
        "copy": _is(True),
        "n_samples_seen_": _either(_number, _array("iuf")),
        **dict.fromkeys(("mean_", "var_", "scale_"), _array("f")),
    },
    OneHotEncoder: {
        **_OF_SCIKIT_LEARN,
        "categories": _is("auto"),
        "sparse_output": _is(False),
        "dtype": _type(np.float32),
        "handle_unknown": _is("ignore"),
        "drop": _is(None),
        "min_frequency": _is(None),
        "max_categories": _is(None),
        "feature_name_combiner": _is("concat"),
        "_infrequent_enabled": _is(False),
        "categories_": _biases,
        "_drop_idx_after_grouping": _is(None),
        "drop_idx_": _is(None),
        "_n_features_outs": _sequence(_count),
    },
    LabelBinarizer: {
        "neg_label": _is(0),
        "pos_label": _is(1),
        "sparse_output": _is(False),
        "y_type_": _text,
        "sparse_input_": _truth,
        "classes_": _array("biufUMO"),
        "_sklearn_version": _text,
    },
}

# Attributes that not every object has: those of some fits, and those of training, which are
# missing where somebody has set the weights by hand.
_MAY_LACK = {
    *_NETWORK.keys() - {"n_features_in_", "coefs_", "intercepts_", "n_outputs_", "out_activation_"},
    "_quantile_levels", "_sklearn_output_config", "_sklearn_version", "na_values_", "report_",
} - {"n_iter_"}  # fmt: skip
_OF_SOME: dict[Any, set[str]] = {Pack: {"classes_"}}
