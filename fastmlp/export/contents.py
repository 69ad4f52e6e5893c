"""What may stand where in a model file: the attributes of each class, and their types."""

import math
from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import LabelBinarizer, OneHotEncoder, StandardScaler

from .. import schedules
from ..estimators.classifier import MLPClassifier
from ..estimators.regressor import MLPRegressor
from ..tabular.classifier import TabularClassifier
from ..tabular.pack.members import Member, Pack
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.regressor import TabularRegressor
from ..training.checkpoint import KeptFit, TrainingState
from ..training.history import OptimizerState
from .archive import RefusedError
from .nodes import Record, called
from .values import (
    Check,
    array_of,
    count,
    date_form,
    dict_of,
    either,
    exactly,
    instance_of,
    label,
    number,
    number_form,
    of_type,
    optional,
    parameter,
    plain,
    random_state,
    refuse,
    sequence_of,
    text,
    truth,
)


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
            _SPECIAL_PARAMETERS.get(name, parameter)(value, where)
        elif cls in _WITH_FURTHER_ATTRIBUTES and _is_new_attribute(name, cls):
            _NEW_ATTRIBUTES.get(name, plain)(value, where)
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


# ---- the attributes of each class --------------------------------------------------------

_WITH_PARAMETERS = {
    MLPClassifier, MLPRegressor, TabularClassifier, TabularPreprocessor, TabularRegressor,
}  # fmt: skip
_SCHEDULES = set(schedules.SCHEDULES.values())
# Parameters that may be objects; the constraints of the estimator say more of all of them.
_SPECIAL_PARAMETERS: dict[str, Check] = {
    "random_state": either(plain, random_state),
    "lr_schedule": either(plain, instance_of(*_SCHEDULES)),
}
# Models of tables may have more attributes than this version knows, if these are plain values.
_WITH_FURTHER_ATTRIBUTES = {
    TabularClassifier, TabularPreprocessor, TabularRegressor,
}  # fmt: skip


def _is_new_attribute(name: str, cls: Any) -> bool:
    """Tell whether this can be a fitted attribute that hides nothing of its class."""
    is_fitted = name.isidentifier() and name[0] != "_" and name[-1] == "_"
    return is_fitted and not hasattr(cls, name)


_weights = sequence_of(array_of("f", 2))
_biases = sequence_of(array_of("f"))
_numbers = sequence_of(number)
_names = array_of("O")
_a_column = dict_of(plain, "name", "kind", "reason", "note")
_output_config = dict_of(text)


def _column(value: Any, place: str) -> None:
    _a_column(value, place)
    for name, check in _OF_A_COLUMN.items():
        if name in value:
            check(value[name], f"{place}[{name!r}]")
    label(value["name"], f"{place}['name']")


# What a column may be described by; the number of further plain entries may grow.
_OF_A_COLUMN: dict[str, Check] = {
    **dict.fromkeys(("kind", "reason", "note"), text),
    "number_format": number_form,
    "rare_share": number,
    "date_form": date_form,
}


def _kind_of_pack(value: Any, place: str) -> None:
    """Accept how a pack describes a kind of its networks, and further plain values."""
    dict_of(plain, *_OF_A_KIND)(value, place)
    for name, check in _OF_A_KIND.items():
        check(value[name], f"{place}[{name!r}]")


_OF_A_KIND: dict[str, Check] = {
    "kind": text,
    "weight": number,
    "folds": count,
    "loss": optional(number),
    "epochs": count,
    "seconds": number,
    "inputs": count,
}


def _target(value: Any, place: str) -> None:
    """Accept the name of a target, or a list of several."""
    (sequence_of(label) if type(value) is list else label)(value, place)


def _report_of_target(value: Any, place: str) -> None:
    """Accept what is reported of one of several targets, and further plain values."""
    dict_of(plain, *_OF_A_TARGET)(value, place)
    for name in (_OF_A_TARGET | _ALSO_OF_A_TARGET).keys() & value.keys():
        check = _OF_A_TARGET.get(name) or _ALSO_OF_A_TARGET[name]
        check(value[name], f"{place}[{name!r}]")


def _report(value: Any, place: str) -> None:
    """Accept what :func:`fastmlp.train_table` reports, and further plain values."""
    dict_of(plain, *_REPORTED)(value, place)
    for name, check in _REPORTED.items():
        check(value[name], f"{place}[{name!r}]")
    for name in _ALSO_REPORTED.keys() & value.keys():
        _ALSO_REPORTED[name](value[name], f"{place}[{name!r}]")


def _labelled_texts(value: Any, place: str) -> None:
    if type(value) is not dict:
        refuse(place, "dict")
    for key, item in value.items():
        label(key, place)
        text(item, place)


_REPORTED: dict[str, Check] = {
    "rows": count,
    "train_rows": count,
    "test_rows": count,
    "target": _target,
    "task": text,
    "task_reason": text,
    "numeric_columns": count,
    "text_columns": count,
    "dropped_columns": _labelled_texts,
    "inputs": count,
    "layers": sequence_of(count),
    "epochs": count,
    "seconds": number,
    "loss": optional(number),
    "validation_score": optional(number),
    "converged": truth,
    "interrupted": truth,
}
# What not every report has.
_ALSO_REPORTED: dict[str, Check] = {
    "test": dict_of(number),
    "baseline": dict_of(number),
    "why": text,
    "date_columns": count,
    "words_columns": count,
    "pack": sequence_of(_kind_of_pack),
    "networks": count,
    "cut_short": truth,
    "targets": sequence_of(_report_of_target),
}
_OF_A_TARGET: dict[str, Check] = {
    "target": label,
    **{name: _REPORTED[name] for name in ("inputs", "layers", "loss", "epochs")},
    "validation_score": optional(number),
}
_ALSO_OF_A_TARGET: dict[str, Check] = {
    **{name: _ALSO_REPORTED[name] for name in ("pack", "networks", "cut_short")},
    **dict.fromkeys(("test", "baseline"), dict_of(number, "r2", "rmse", "mae")),
}


def _reading(value: Any, place: str) -> None:
    """Accept how a table was read, by which tables for a prediction are read, too."""
    dict_of(plain)(value, place)
    for name, check in _OF_A_READING.items():
        if name in value:
            check(value[name], f"{place}[{name!r}]")
    if not value.get("header", True):
        _n_columns(value.get("n_columns"), f"{place}['n_columns']")


def _n_columns(value: Any, place: str) -> None:
    count(value, place)
    if value > _MOST_COLUMNS:
        raise RefusedError(f"{called(place)} is more than {_MOST_COLUMNS}")


# A table without names gets them by the number of its columns, which take memory.
_MOST_COLUMNS = 10**6
_OF_A_READING: dict[str, Check] = {
    "decimal": optional(text),
    "header": truth,
    "n_columns": _n_columns,
    "na_values": sequence_of(text),
    "text": sequence_of(text),
}
# What models of tables may have beside the attributes of all of them.
_NEW_ATTRIBUTES: dict[str, Check] = {
    "target_format_": number_form,
    "reading_": _reading,
    "quantile_offsets_": array_of("f"),
    "trained_rows_": array_of("u"),
    "threshold_": number,
}

_FEATURES: dict[str, Check] = {"n_features_in_": count, "feature_names_in_": _names}
_OF_SCIKIT_LEARN: dict[str, Check] = {
    "n_features_in_": count,
    "_sklearn_version": text,
    "_sklearn_output_config": dict_of(exactly("default")),
}
_NETWORK: dict[str, Check] = {
    **_FEATURES,
    "coefs_": _weights,
    "intercepts_": _biases,
    "n_outputs_": count,
    "n_layers_": count,
    "n_iter_": count,
    "t_": number,
    "out_activation_": text,
    "loss_": optional(number),
    "loss_curve_": _numbers,
    "history_": dict_of(sequence_of(plain)),
    "best_loss_": optional(number),
    "validation_scores_": optional(_numbers),
    "best_validation_score_": optional(number),
    "_best_coefs": optional(_weights),
    "_best_intercepts": optional(_biases),
    "_best_scoring": optional(text),
    "_no_improvement_count": count,
    "_random_state": random_state,
    "_optimizer": instance_of(OptimizerState),
    "_fastmlp_version": text,
}
_TABULAR: dict[str, Check] = {
    **_FEATURES,
    "preprocessor_": instance_of(TabularPreprocessor),
    "columns_": sequence_of(_column),
    "target_name_": label,
    "n_iter_": count,
    "na_values_": sequence_of(label),
    "report_": _report,
}
# A regressor for several targets has a model of each instead of networks of its own.
_SEVERAL_TARGETS: dict[str, Check] = {
    **{name: check for name, check in _TABULAR.items() if name != "preprocessor_"},
    "target_name_": sequence_of(label),
    "target_format_": sequence_of(number_form),
    "models_": sequence_of(instance_of(TabularRegressor)),
}
_PREPROCESSOR: dict[str, Check] = {
    **_FEATURES,
    "columns_": sequence_of(_column),
    "levels_": sequence_of(sequence_of(text)),
    "_sklearn_output_config": _output_config,
}
# In files of version 0.1 it had transformers of scikit-learn.
_EARLIER_PREPROCESSOR: dict[str, Check] = {
    **_PREPROCESSOR,
    "imputer_": optional(instance_of(SimpleImputer)),
    "scaler_": optional(instance_of(StandardScaler)),
    "encoder_": optional(instance_of(OneHotEncoder)),
}


def _progress(value: Any, place: str) -> None:
    """Accept what is shown of a fit in training."""
    dict_of(optional(number), *_PROGRESS)(value, place)
    for name, check in _PROGRESS.items():
        check(value[name], f"{place}[{name!r}]")


_PROGRESS: dict[str, Check] = {
    "epochs": count,
    "networks": count,
    "loss": optional(number),
    "validation_score": optional(number),
    "seconds": number,
}

_ATTRIBUTES: dict[Any, dict[str, Check]] = {
    MLPClassifier: {
        **_NETWORK,
        "classes_": array_of("biufUMO"),
        "_label_binarizer": instance_of(LabelBinarizer),
    },
    MLPRegressor: {**_NETWORK, "_quantile_levels": sequence_of(number, list, tuple)},
    TabularClassifier: {**_TABULAR, "estimator_": instance_of(MLPClassifier, Pack)},
    TabularRegressor: {
        **_TABULAR,
        "estimator_": instance_of(MLPRegressor, Pack),
        "target_mean_": number,
        "target_scale_": number,
    },
    TabularPreprocessor: {
        **_PREPROCESSOR,
        "groups_": dict_of(sequence_of(count, tuple)),
        "date_parts_": sequence_of(sequence_of(text)),
        "word_terms_": sequence_of(array_of("i")),
        "word_weights_": sequence_of(array_of("f")),
        "word_components_": sequence_of(array_of("f", 2)),
        "level_inputs_": sequence_of(array_of("f", 2)),
        "level_means_": sequence_of(array_of("f", 2)),
        "number_mean_columns_": array_of("i"),
        "number_mean_values_": sequence_of(array_of("f")),
        "number_means_": sequence_of(array_of("f", 2)),
        "is_binary_": array_of("b"),
        "indicator_values_": array_of("f", 2),
        **dict.fromkeys(("indicator_columns_", "piece_columns_", "linear_columns_"), array_of("i")),
        **dict.fromkeys(("fill_values_", "centres_", "scales_"), array_of("f")),
        **dict.fromkeys(("piece_starts_", "piece_widths_"), array_of("f")),
        **dict.fromkeys(("linear_means_", "linear_scales_"), array_of("f")),
    },
    Pack: {
        "members": sequence_of(instance_of(Member)),
        "weights": dict_of(number),
        "bounds": optional(sequence_of(number, tuple)),
        "kinds": sequence_of(_kind_of_pack),
        "loss": number,
        "score": number,
        "is_cut_short": truth,
        "n_iter_": count,
        "classes_": array_of("biufUMO"),
    },
    Member: {
        "kind": text,
        "fold": count,
        "network": instance_of(MLPClassifier, MLPRegressor),
        "start": count,
        "stop": count,
        "score": number,
        "seconds": number,
        "log_target": optional(sequence_of(number, tuple)),
    },
    OptimizerState: {
        "schedule": instance_of(schedules.LearningRate),
        "constants": dict_of(either(number, truth)),
        "step": count,
        "first": optional(array_of("f")),
        "second": optional(array_of("f")),
    },
    KeptFit: {
        "fingerprint": dict_of(text),
        "places": sequence_of(text),
        "states": sequence_of(instance_of(TrainingState)),
        "generators": dict_of(random_state),
        "progress": _progress,
        "model": optional(
            instance_of(MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor)
        ),
    },
    TrainingState: {
        "theta": array_of("f"),
        **dict.fromkeys(("loss_curve", "validation_scores"), optional(array_of("f"))),
        **dict.fromkeys(("first", "second", "best_theta", "mean"), optional(array_of("f"))),
        "numbers": array_of("f", 2),
        "is_known": array_of("b", 2),
        "dead_units": optional(array_of("f", 2)),
        "order": optional(array_of("i")),
        "generator": optional(random_state),
        "schedule": optional(instance_of(schedules.LearningRate)),
        **dict.fromkeys(("best_loss", "best_validation_score"), optional(number)),
        **dict.fromkeys(("step", "no_improvement_count", "n_samples_seen", "n_averaged"), count),
        "is_over": truth,
        "n_visits": count,
        **dict.fromkeys(("loss_sum", "n_rows"), number),
    },
    schedules.LearningRate: {
        "schedule": instance_of(*_SCHEDULES),
        "initial": number,
        "horizon": count,
        "learning_rate": number,
        "epoch": count,
        "n_samples_seen": number,
        "best": number,
        "waited": count,
        "waited_at_rate": count,
    },
    schedules.Adaptive: {},
    schedules.Constant: {},
    schedules.Cosine: {"min_rate": number},
    schedules.InverseScaling: {"power_t": number},
    schedules.MultiCycle: {"cycles": count},
    schedules.OneCycle: dict.fromkeys(("warmup", "start_factor", "end_factor"), number),
    schedules.Plateau: {"factor": number, "patience": number, "min_rate": number},
    schedules.Step: {"every": count, "factor": number},
    SimpleImputer: {
        **_OF_SCIKIT_LEARN,
        "missing_values": exactly(math.nan),
        "add_indicator": exactly(True),
        "keep_empty_features": exactly(False),
        "strategy": exactly("median"),
        "fill_value": exactly(None),
        "copy": exactly(True),
        "_fit_dtype": of_type(np.dtype(np.float64)),
        "_fill_dtype": of_type(np.dtype(np.float64)),
        "indicator_": optional(instance_of(MissingIndicator)),
        "statistics_": array_of("f"),
    },
    MissingIndicator: {
        **_OF_SCIKIT_LEARN,
        "missing_values": exactly(math.nan),
        "features": exactly("missing-only"),
        "sparse": exactly("auto"),
        "error_on_new": exactly(False),
        "_precomputed": exactly(True),
        "_n_features": count,
        "features_": array_of("i"),
    },
    StandardScaler: {
        **_OF_SCIKIT_LEARN,
        "with_mean": exactly(True),
        "with_std": exactly(True),
        "copy": exactly(True),
        "n_samples_seen_": either(number, array_of("iuf")),
        **dict.fromkeys(("mean_", "var_", "scale_"), array_of("f")),
    },
    OneHotEncoder: {
        **_OF_SCIKIT_LEARN,
        "categories": exactly("auto"),
        "sparse_output": exactly(False),
        "dtype": of_type(np.float32),
        "handle_unknown": exactly("ignore"),
        "drop": exactly(None),
        "min_frequency": exactly(None),
        "max_categories": exactly(None),
        "feature_name_combiner": exactly("concat"),
        "_infrequent_enabled": exactly(False),
        "categories_": _biases,
        "_drop_idx_after_grouping": exactly(None),
        "drop_idx_": exactly(None),
        "_n_features_outs": sequence_of(count),
    },
    LabelBinarizer: {
        "neg_label": exactly(0),
        "pos_label": exactly(1),
        "sparse_output": exactly(False),
        "y_type_": text,
        "sparse_input_": truth,
        "classes_": array_of("biufUMO"),
        "_sklearn_version": text,
    },
}

# Attributes that not every object has: those of some fits, and those of training, which are
# missing where somebody has set the weights by hand.
_MAY_LACK = {
    *_NETWORK.keys() - {"n_features_in_", "coefs_", "intercepts_", "n_outputs_", "out_activation_"},
    "_quantile_levels", "_sklearn_output_config", "_sklearn_version", "na_values_", "report_",
} - {"n_iter_"}  # fmt: skip
_OF_SOME: dict[Any, set[str]] = {
    Pack: {"classes_"},
    # Earlier files have no means of numbers.
    TabularPreprocessor: {"number_mean_columns_", "number_mean_values_", "number_means_"},
    # Nor have they visits to shards.
    TrainingState: {"n_visits", "loss_sum", "n_rows"},
}
