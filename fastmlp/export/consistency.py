"""Whether the parts of a model from a file fit each other, so that it can predict.

Numbers such as weights may have any value, also not-a-number: a model that diverged belongs to its
owner. What is checked are sizes, positions, classes and parameters.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import inf, isfinite
from typing import Any

import numpy as np

from ..estimators.base import BaseMLP
from ..estimators.parameters import invalid_parameter
from ..estimators.planning import layer_units, prediction_plan
from ..network.plan import PREDICTION_LOSSES, Optimizer
from ..network.weights import n_parameters
from ..tabular.base import BaseTabular
from ..tabular.encoders.assembly import GROUPS
from ..tabular.encoders.dates import DATE_PARTS
from ..tabular.encoders.words import N_TERMS, SIZES
from ..tabular.pack.members import Member, Pack, networks_of
from ..tabular.quantiles import fitted_levels
from ..tabular.regressor import TabularRegressor
from .archive import RefusedError
from .nodes import called

_KINDS = ("numeric", "text", "date", "words", "dropped")
# The constants of an optimiser, as the fit that made it has set them.
_CONSTANTS = {"optimizer", "momentum", "averages_gradients", "beta_1", "beta_2", "epsilon"}


def check_model(model: Any) -> None:
    """Raise RefusedError unless the parts of a model fit each other.

    Parameters
    ----------
    model : estimator
        Its attributes, and those of its parts, have the types that they should have.
    """
    if isinstance(model, TabularRegressor) and hasattr(model, "models_"):
        _check_several_targets(model)
    elif isinstance(model, BaseTabular):
        _check_table_model(model)
    elif isinstance(model, BaseMLP):
        _check_network(model, "")
    else:
        _check_preprocessor(model, "")


def _require(condition: Any, place: str, what: str) -> None:
    if not condition:
        raise RefusedError(f"{called(place)} {what}")


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _check_parameters(model: Any, place: str) -> None:
    if (message := invalid_parameter(model)) is not None:
        raise RefusedError(f"in {called(place)} {message}" if place else message)


# ---- networks ----------------------------------------------------------------------------


def _check_network(net: Any, place: str) -> None:
    _check_parameters(net, place)
    units = _layer_units(net.coefs_, net.intercepts_, place, "coefs_", "intercepts_")
    dtypes = {array.dtype for array in (*net.coefs_, *net.intercepts_)}
    _require(len(dtypes) == 1, _within(place, "coefs_"), "has arrays of several types")
    is_known = dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}
    _require(is_known, _within(place, "coefs_"), "is neither float32 nor float64")
    for name, expected in (
        ("n_features_in_", units[0]),
        ("n_outputs_", units[-1]),
        ("n_layers_", len(units)),
    ):
        found = getattr(net, name, expected)
        _require(found == expected, _within(place, name), f"is {found}, and not {expected}")
    _check_names(net, place)
    activation = net.out_activation_
    _require(activation in PREDICTION_LOSSES, _within(place, "out_activation_"), "is unknown")
    try:
        prediction_plan(net)
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{called(place)} cannot predict: {error}") from None
    if hasattr(net, "classes_"):
        _check_classes(net, place)
    else:
        _require(
            activation in ("identity", "exp"),
            _within(place, "out_activation_"),
            "is none of a regression",
        )
        levels = net._fitted_quantiles()
        is_fit = not levels or len(levels) == units[-1] or len(levels) == 1
        is_fit = is_fit and all(0 < level < 1 for level in levels)
        _require(is_fit, _within(place, "_quantile_levels"), "does not fit the outputs")
    _check_training(net, units, place)


def _layer_units(
    coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], place: str, *names: str
) -> tuple[int, ...]:
    """Return the units of the layers of some weights and biases that fit each other."""
    of_weights, of_biases = (_within(place, name) for name in names)
    _require(len(coefs), of_weights, "is empty")
    _require(len(coefs) == len(intercepts), of_biases, "has other layers than the weights")
    units = coefs[0].shape[0], *(w.shape[1] for w in coefs)
    _require(min(units) > 0, of_weights, "has a layer without units")
    for i, ((fan_in, fan_out), w, b) in enumerate(
        zip(pairwise(units), coefs, intercepts, strict=True)
    ):
        shapes = f"has the shape {w.shape} beside biases of shape {b.shape}"
        fits = w.shape == (fan_in, fan_out) and b.shape == (fan_out,)
        _require(fits, f"{of_weights}[{i}]", f"{shapes} and {fan_in} units before")
    return units


def _check_names(model: Any, place: str) -> None:
    names = getattr(model, "feature_names_in_", None)
    is_fit = names is None or len(names) == model.n_features_in_
    _require(is_fit, _within(place, "feature_names_in_"), "has more or fewer than all features")


def _check_classes(net: Any, place: str) -> None:
    binarizer, classes = net._label_binarizer, net._label_binarizer.classes_
    where = _within(place, "classes_")
    _require(np.array_equal(classes, net.classes_), where, "are not those of its encoder")
    _check_labels(classes, where)
    kind = binarizer.y_type_
    is_exclusive = kind in ("binary", "multiclass")
    _require(is_exclusive or kind == "multilabel-indicator", where, "is of an unknown kind")
    if is_exclusive:
        expected = "multiclass" if len(classes) > 2 else "binary"
        _require(kind == expected, where, f"has {len(classes)} classes, and is {kind}")
    n_outputs = len(classes) if len(classes) > 2 or not is_exclusive else 1
    _require(n_outputs == net.n_outputs_, where, f"does not fit {net.n_outputs_} outputs")
    activation = "softmax" if kind == "multiclass" else "logistic"
    _require(net.out_activation_ == activation, where, f"does not fit {net.out_activation_}")


def _check_labels(classes: np.ndarray, where: str) -> None:
    _require(len(classes), where, "is empty")
    _require(not np.any(classes != classes), where, "has a class that is not-a-number")
    in_order = np.array_equal(np.unique(classes), classes)
    _require(in_order, where, "is not in increasing order")


def _check_training(net: Any, units: tuple[int, ...], place: str) -> None:
    """Check what a fit or ``partial_fit`` continues from."""
    coefs, intercepts = (getattr(net, name, None) for name in ("_best_coefs", "_best_intercepts"))
    if coefs is not None or intercepts is not None:
        where = _within(place, "_best_coefs")
        if coefs is None or intercepts is None:
            raise RefusedError(f"{called(where)} are there in part")
        of_best = _layer_units(coefs, intercepts, place, "_best_coefs", "_best_intercepts")
        _require(of_best == units, where, "is of another network")
    state = getattr(net, "_optimizer", None)
    if state is None:
        return
    where = _within(place, "_optimizer")
    constants = state.constants
    _require(constants.keys() == _CONSTANTS, where, "has other constants than an optimiser")
    is_known = type(constants["optimizer"]) is int and constants["optimizer"] in set(Optimizer)
    _require(is_known, where, "is an unknown optimiser")
    _require(type(constants["averages_gradients"]) is bool, where, "has odd constants")
    is_finite = all(isfinite(value) for value in constants.values())
    _require(is_finite, where, "has constants that are not finite")
    _require((state.first is None) == (state.second is None), where, "lacks one of two vectors")
    for vector in (state.first, state.second):
        is_fit = vector is None or vector.shape == (n_parameters(units),)
        _require(is_fit, where, "has a vector for another network")
    rate = state.schedule
    _require(0 <= rate.learning_rate < inf and rate.horizon >= 1, where, "has an odd schedule")


# ---- tables ------------------------------------------------------------------------------


def _check_table_model(model: Any) -> None:
    """Check a model of a table that predicts one target."""
    _require(not hasattr(model, "models_"), "models_", "are of a model for a single target")
    _check_parameters(model, "")
    preprocessor, net = model.preprocessor_, model.estimator_
    n_inputs = _check_preprocessor(preprocessor, "preprocessor_")
    if isinstance(net, Pack):
        _check_pack(net, "estimator_", n_inputs, model._task)
    else:
        _check_network(net, "estimator_")
        _check_network_of_table(net, "estimator_", n_inputs)
    _check_threshold(model)
    _check_quantiles(model)
    same = model.n_features_in_ == preprocessor.n_features_in_ and _equal_columns(
        model.columns_, preprocessor.columns_
    )
    _require(same, "columns_", "are not those of the preprocessor")
    _check_names(model, "")
    same = _feature_names(model) == _feature_names(preprocessor)
    _require(same, "feature_names_in_", "are not those of the preprocessor")
    report = getattr(model, "report_", None)
    if report is not None:
        layers = [list(layer_units(network)) for network in networks_of(net)]
        is_fit = report["task"] == model._task and report["layers"] in layers
        is_fit = is_fit and "targets" not in report and not isinstance(report["target"], list)
        _require(is_fit, "report_", "is about another model")
        if isinstance(net, Pack):
            _check_report_of_pack(report, net)


def _check_several_targets(model: Any) -> None:
    """Check a regressor that has a model of a table for each of several targets."""
    _check_parameters(model, "")
    models = model.models_
    _require(len(models) > 1, "models_", "are fewer than two")
    _require(len(model.target_name_) == len(models), "target_name_", f"are not {len(models)}")
    same = repr([one.target_name_ for one in models]) == repr(model.target_name_)
    _require(same, "target_name_", "are not those of the models")
    forms = [getattr(one, "target_format_", "") for one in models]
    _require(model.target_format_ == forms, "target_format_", "are not those of the models")
    columns = [[(c["name"], c["kind"]) for c in part.columns_] for part in (model, *models)]
    for i, one in enumerate(models):
        where = f"models_[{i}]"
        try:
            _check_table_model(one)
        except RefusedError as error:
            raise RefusedError(f"in {called(where)} {error}") from None
        same = repr(columns[0]) == repr(columns[i + 1])
        same = same and model.n_features_in_ == one.n_features_in_
        same = same and _feature_names(model) == _feature_names(one)
        _require(same, f"{where}.columns_", "are of another table")
    _check_names(model, "")
    n_epochs = sum(one.n_iter_ for one in models)
    _require(model.n_iter_ == n_epochs, "n_iter_", f"is not {n_epochs}")
    report = getattr(model, "report_", None)
    if report is not None:
        found = [part["target"] for part in report.get("targets", ())]
        is_fit = report["task"] == "regression" and found == report["target"]
        _require(is_fit and len(found) == len(models), "report_", "is about another model")
        for part in report["targets"]:
            same = {"networks", "pack"} <= part.keys() if "networks" in report else True
            _require(same, "report_", "is about no packs")


def _feature_names(model: Any) -> list[Any]:
    return list(getattr(model, "feature_names_in_", ()))


def _check_report_of_pack(report: dict[str, Any], pack: Pack) -> None:
    _require({"pack", "networks"} <= report.keys(), "report_", "is about no pack")
    is_fit = report["networks"] == len(pack.members) and report["loss"] is not None
    is_fit = is_fit and all(kind["loss"] is not None for kind in report["pack"] if kind["weight"])
    _require(is_fit, "report_", "is about another pack")


def _check_network_of_table(net: Any, place: str, n_inputs: int) -> None:
    """Check what is so of networks for tables beyond what is so of all networks."""
    is_fit = net.n_features_in_ == n_inputs
    _require(is_fit, place, f"has {net.n_features_in_} inputs, and needs {n_inputs}")
    is_fit = not hasattr(net, "classes_") or net.out_activation_ == "softmax" or net.n_outputs_ == 1
    _require(is_fit, place, "has more than one output for a column")
    # There is one for each quantile that is predicted.
    is_fit = hasattr(net, "classes_") or net.n_outputs_ == max(1, len(net._fitted_quantiles()))
    _require(is_fit, place, "has several outputs")


def _check_threshold(model: Any) -> None:
    threshold = getattr(model, "threshold_", None)
    if threshold is None:
        return
    is_fit = model._task == "classification" and len(model.estimator_.classes_) == 2
    _require(is_fit, "threshold_", "is for two classes")
    _require(0 < threshold < 1, "threshold_", "is not between 0 and 1")


def _check_quantiles(model: Any) -> None:
    offsets = getattr(model, "quantile_offsets_", None)
    if offsets is not None:
        n_levels = len(fitted_levels(model)) if model._task == "regression" else 0
        is_fit = offsets.shape == (n_levels,) and np.isfinite(offsets).all()
        _require(is_fit, "quantile_offsets_", f"does not fit {n_levels} quantiles")


def _check_pack(pack: Pack, place: str, n_inputs: int, task: str) -> None:
    """Check a pack whose members see ranges of so many inputs."""
    where = _within(place, "members")
    _require(pack.members, where, "is empty")
    n_epochs = sum(member.network.n_iter_ for member in pack.members)
    _require(pack.n_iter_ == n_epochs, _within(place, "n_iter_"), f"is not {n_epochs}")
    n_outputs = pack.members[0].network.n_outputs_
    if task == "classification":
        _require(hasattr(pack, "classes_"), place, "has no classes_")
        _check_labels(pack.classes_, _within(place, "classes_"))
        n_classes = len(pack.classes_)
        _require(n_classes > 1, _within(place, "classes_"), "has a single class")
        n_outputs = n_classes if n_classes > 2 else 1
        _require(pack.bounds is None, _within(place, "bounds"), "is for numbers alone")
    else:
        _require(not hasattr(pack, "classes_"), _within(place, "classes_"), "is of no regression")
    limits: Any = pack.bounds
    if limits is not None:
        is_fit = len(limits) == 2 and -inf < limits[0] <= limits[1] < inf
        _require(is_fit, _within(place, "bounds"), "is no range of numbers")
    for i, member in enumerate(pack.members):
        _check_member(member, f"{where}[{i}]", n_inputs)
        inside, net = f"{where}[{i}].network", member.network
        is_fit = hasattr(net, "classes_") == (task == "classification")
        _require(is_fit, inside, f"is of no {task}")
        _require(net.n_outputs_ == n_outputs, inside, f"has not {n_outputs} outputs")
        if is_fit and task == "classification":
            numbers = np.arange(len(pack.classes_))
            is_fit = any(np.array_equal(net.classes_, known) for known in (numbers, pack.classes_))
            _require(is_fit, _within(inside, "classes_"), "are not those of the pack")
    weights, where = pack.weights, _within(place, "weights")
    kinds = {member.kind for member in pack.members}
    _require(weights.keys() == kinds, where, "are of other kinds than the members")
    _require(all(0 <= w < inf for w in weights.values()), where, "has one that is no share")
    _require(abs(sum(weights.values()) - 1) < 1e-9, where, "have another sum than 1")


def _check_member(member: Member, place: str, n_inputs: int) -> None:
    """Check a member of a pack that has so many inputs."""
    _check_network(member.network, _within(place, "network"))
    if (log_target := member.log_target) is not None:
        is_fit = tuple(map(isfinite, log_target)) == (True,) * 3 and log_target[2] > 0
        is_fit = is_fit and not hasattr(member.network, "classes_")
        _require(is_fit, _within(place, "log_target"), "is no change of numbers")
    is_fit = 0 <= member.start < member.stop <= n_inputs
    _require(is_fit, _within(place, "stop"), f"ends no range of {n_inputs} inputs")
    n_seen = member.stop - member.start
    _check_network_of_table(member.network, _within(place, "network"), n_seen)
    is_fit = member.network.coefs_[0].dtype == np.float32
    _require(is_fit, _within(place, "network.coefs_"), "is not float32")


def _equal_columns(columns: list[Any], others: list[Any]) -> bool:
    # Names of columns may be not-a-number, which is not equal to itself.
    return repr(columns) == repr(others)


def _check_preprocessor(prepared: Any, place: str) -> int:
    """Check a preprocessor, and return the number of its results."""
    columns, where = prepared.columns_, _within(place, "columns_")
    kinds = [column["kind"] for column in columns]
    _require(set(kinds) <= set(_KINDS), where, "has a column of an unknown kind")
    _require(len(columns) == prepared.n_features_in_, where, "are more or fewer than all")
    _require(len(set(_names(columns))) == len(columns), where, "have a name twice")
    _check_names(prepared, place)
    if hasattr(prepared, "feature_names_in_"):
        same = _names(columns) == list(prepared.feature_names_in_)
        _require(same, where, "have other names than the features")
    config = getattr(prepared, "_sklearn_output_config", {})
    is_known = set(config) <= {"transform"} and config.get("transform", "default") in (
        ("default",) if place else ("default", "pandas", "polars")
    )
    _require(is_known, _within(place, "_sklearn_output_config"), "is unknown")
    _require(set(kinds) != {"dropped"}, where, "are all dropped")
    _check_parameters(prepared, place)
    n_numbers = kinds.count("numeric") + _check_parts(
        prepared, kinds.count("date"), kinds.count("words"), place
    )
    widths = _check_numbers(prepared, n_numbers, place)
    widths["base"] += _check_levels(prepared, kinds.count("text"), place)
    widths["base"] += _check_number_means(prepared, n_numbers, place)
    return _check_groups(prepared, widths, place)


def _names(columns: Iterable[dict[str, Any]]) -> list[Any]:
    return [column["name"] for column in columns]


def _check_parts(prepared: Any, n_dates: int, n_words: int, place: str) -> int:
    """Check what converts dates and free text, and return the number of their numbers."""
    parts, where = prepared.date_parts_, _within(place, "date_parts_")
    _require(len(parts) == n_dates, where, f"does not fit {n_dates} columns of dates")
    _require(all(set(of_column) <= set(DATE_PARTS) for of_column in parts), where, "are unknown")
    n_numbers = sum(map(len, parts))
    for name in ("word_terms_", "word_weights_", "word_components_"):
        n, where = len(getattr(prepared, name)), _within(place, name)
        _require(n == n_words, where, f"does not fit {n_words} columns of text")
    for terms, weights, components in zip(
        prepared.word_terms_, prepared.word_weights_, prepared.word_components_, strict=True
    ):
        where = _within(place, "word_terms_")
        in_order = np.array_equal(np.unique(terms), terms)
        is_known = not len(terms) or (terms[0] >= 0 and terms[-1] < N_TERMS)
        _require(in_order and is_known, where, "has terms that do not exist")
        same = weights.shape == terms.shape and len(components) == len(terms)
        _require(same, where, "does not fit the weights and the components")
        is_finite = np.isfinite(weights).all() and np.isfinite(components).all()
        _require(is_finite, where, "has weights or components that are not finite")
        n_numbers += components.shape[1] + len(SIZES)
    return n_numbers


def _check_numbers(prepared: Any, n_numbers: int, place: str) -> dict[str, int]:
    """Check what converts numbers, and return the number of its results in some groups."""
    for name in ("fill_values_", "centres_", "scales_", "is_binary_"):
        array, where = getattr(prepared, name), _within(place, name)
        _require(array.shape == (n_numbers,), where, f"does not fit {n_numbers} numbers of a row")
        _require(np.isfinite(array).all(), where, "has a value that is not finite")
    n_indicators = _check_places(prepared, "indicator_columns_", n_numbers, place)
    shape, where = prepared.indicator_values_.shape, _within(place, "indicator_values_")
    _require(shape == (n_indicators, 2), where, f"does not fit {n_indicators} indicators")
    n_linear = _check_places(prepared, "linear_columns_", n_numbers, place)
    n_pieces = len(prepared.piece_columns_)
    _check_range(prepared, "piece_columns_", n_numbers, place)
    for name, n in (
        ("linear_means_", n_linear),
        ("linear_scales_", n_linear),
        ("piece_starts_", n_pieces),
        ("piece_widths_", n_pieces),
    ):
        array, where = getattr(prepared, name), _within(place, name)
        _require(array.shape == (n,), where, f"does not fit {n} inputs")
        _require(np.isfinite(array).all(), where, "has a value that is not finite")
    _require((prepared.piece_widths_ > 0).all(), _within(place, "piece_widths_"), "has no widths")
    return {"base": n_numbers + n_indicators, "pieces": n_pieces, "linear": n_linear}


def _check_places(prepared: Any, name: str, n_numbers: int, place: str) -> int:
    """Check positions of numbers, each of which stands there once, and return how many."""
    columns, where = getattr(prepared, name), _within(place, name)
    _require(np.array_equal(np.unique(columns), columns), where, "is not in increasing order")
    _check_range(prepared, name, n_numbers, place)
    return len(columns)


def _check_range(prepared: Any, name: str, n_numbers: int, place: str) -> None:
    columns = getattr(prepared, name)
    is_fit = np.all((columns >= 0) & (columns < n_numbers))
    _require(is_fit, _within(place, name), f"does not fit {n_numbers} numbers of a row")


def _check_levels(prepared: Any, n_columns: int, place: str) -> int:
    """Check what converts text columns, and return the number of its results."""
    where, n_results = _within(place, "levels_"), 0
    _require(len(prepared.levels_) == n_columns, where, f"does not fit {n_columns} text columns")
    for levels in prepared.levels_:
        _require(len(set(levels)) == len(levels), where, "has a level twice")
    for name in ("level_inputs_", "level_means_"):
        tables, where = getattr(prepared, name), _within(place, name)
        _require(len(tables) == n_columns, where, f"does not fit {n_columns} text columns")
        for levels, table in zip(prepared.levels_, tables, strict=True):
            n_rows, n_inputs = table.shape
            is_fit = 0 < n_rows <= len(levels) + 1 if name == "level_inputs_" else (
                not n_inputs or n_rows == len(levels) + 1
            )  # fmt: skip
            _require(is_fit, where, f"has {n_rows} rows for {len(levels)} levels")
            _require(table.dtype == np.float32, where, "is not float32")
            n_results += n_inputs
    return n_results


def _check_number_means(prepared: Any, n_numbers: int, place: str) -> int:
    """Check the means of numbers by value, and return the number of their results."""
    n_columns, n_results = _check_places(prepared, "number_mean_columns_", n_numbers, place), 0
    for name in ("number_mean_values_", "number_means_"):
        where = _within(place, name)
        _require(
            len(getattr(prepared, name)) == n_columns, where, f"does not fit {n_columns} numbers"
        )
    for values, table in zip(prepared.number_mean_values_, prepared.number_means_, strict=True):
        where = _within(place, "number_mean_values_")
        in_order = len(values) > 0 and np.array_equal(np.unique(values), values)
        _require(in_order and np.isfinite(values).all(), where, "is not in increasing order")
        where = _within(place, "number_means_")
        is_fit = len(table) == len(values) + 1
        _require(is_fit, where, f"has {len(table)} rows for {len(values)} values")
        is_fit = values.dtype == table.dtype == np.float32
        _require(is_fit, where, "is not float32")
        n_results += table.shape[1]
    return n_results


def _check_groups(prepared: Any, widths: dict[str, int], place: str) -> int:
    """Check the groups of inputs by the numbers of their inputs, and return their number."""
    groups, where = prepared.groups_, _within(place, "groups_")
    names = [name for name in GROUPS if name in groups]
    _require("base" in groups and set(groups) == set(names), where, "are unknown")
    _require(list(groups) == names, where, "are in another order")
    at = 0
    for name in names:
        is_fit = len(groups[name]) == 2 and groups[name][0] == at <= groups[name][1]
        _require(is_fit, where, "do not follow each other")
        at = groups[name][1]
    found = {name: stop - start for name, (start, stop) in groups.items()}
    found["pieces"] = found.pop("tree", 0) + found.pop("bins", 0)
    same = {"linear": 0, **found} == widths
    _require(same, where, "have other sizes than what is in them")
    _require(at > 0, where, "are empty")
    return at
