"""Objects that are no models of this package: what they are called, and what to do with them."""

from typing import Any

import sklearn.neural_network
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import BaseMLP
from ..exceptions import InputError
from ..tabular.base import BaseTabular

_SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def scaler_steps(model: Any) -> tuple[list[Any], Any]:
    """Take a pipeline of scalers and a model apart.

    Parameters
    ----------
    model : object

    Returns
    -------
    scalers : list
        Empty unless it is a pipeline whose steps before the last one are known scalers.
    last : object
        The last step of such a pipeline; anything else is returned as it is.
    """
    if type(model) is not Pipeline or not model.steps:
        return [], model
    *steps, last = [step for _, step in model.steps]
    steps = [step for step in steps if step not in (None, "passthrough")]
    if not all(type(step) in _SCALERS for step in steps):
        return [], model
    return steps, last


def exportable(model: Any, function: str) -> tuple[list[Any], Any]:
    """Return the scalers and the model of what a function for export was given.

    Parameters
    ----------
    model : object
    function : str
        Its name.

    Returns
    -------
    scalers : list
        As from :func:`scaler_steps`; empty for the model of a table.
    last : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor

    Raises
    ------
    InputError
        When it is something else.
    sklearn.exceptions.NotFittedError
        When the model or a scaler has not been fitted.
    """
    steps, last = scaler_steps(model)
    if not isinstance(last, BaseTabular | BaseMLP) or (steps and isinstance(last, BaseTabular)):
        raise InputError(f"{function} takes the models of fastmlp, got {export_advice(model)}")
    for step in (*steps, last):
        check_is_fitted(step)
    return steps, last


def scaler_operations(scaler: Any) -> list[tuple[str, Any]]:
    """List what a scaler does to its inputs, in the order in which scikit-learn does it.

    Parameters
    ----------
    scaler : StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler
        It is fitted.

    Returns
    -------
    list of tuple
        Each has 'add', 'subtract', 'multiply' or 'divide', and an array of shape (n_features,);
        or 'clip', and the lowest and the highest number.
    """
    kind, found = type(scaler).__name__, list[tuple[str, Any]]()
    with_centre = {"StandardScaler": "with_mean", "RobustScaler": "with_centering"}
    with_scale = {"StandardScaler": "with_std", "RobustScaler": "with_scaling"}
    if kind == "MinMaxScaler":
        found += [("multiply", scaler.scale_), ("add", scaler.min_)]
    if kind in with_centre and getattr(scaler, with_centre[kind]):
        found.append(("subtract", scaler.mean_ if kind == "StandardScaler" else scaler.center_))
    if kind == "MaxAbsScaler" or (kind in with_scale and getattr(scaler, with_scale[kind])):
        found.append(("divide", scaler.scale_))
    if getattr(scaler, "clip", False):
        found.append(("clip", (-1, 1) if kind == "MaxAbsScaler" else scaler.feature_range))
    return found


def export_advice(model: Any) -> str:
    """Say what an object is that cannot be exported, and what to do.

    Parameters
    ----------
    model : object

    Returns
    -------
    str
        The end of a sentence about what was given.
    """
    if isinstance(model, type):
        return f"the class {_name(model)} itself; pass a fitted model"
    called = f"a {_name(type(model))}"
    if isinstance(model, str):
        return "a str; pass the model that load_model returns for such a file"
    if isinstance(model, Pipeline):
        return called + _advice_for_pipeline(model)
    if isinstance(getattr(model, "best_estimator_", None), BaseMLP | BaseTabular | Pipeline):
        return f"{called}; pass its best_estimator_"
    if _networks_in(model):
        return (
            f"{called}; convert the networks inside it with to_sklearn(), and the whole with the "
            "package skl2onnx"
        )
    return f"{called}; convert scikit-learn's networks with from_sklearn"


def save_advice(model: Any) -> str:
    """Say what to do with an object that is no model of fastmlp and shall be saved.

    Parameters
    ----------
    model : object

    Returns
    -------
    str
        The end of a message; empty where there is nothing to say.
    """
    if isinstance(model, type):
        return "; pass a fitted model, not its class"
    networks = sklearn.neural_network.MLPClassifier, sklearn.neural_network.MLPRegressor
    if type(model) in networks:
        return "; convert it with fastmlp.from_sklearn first"
    if callable(getattr(model, "fit", None)):
        return (
            "; save the fastmlp model inside it, or the whole with skops.io.dump or joblib.dump "
            "(to load a joblib file runs the code in it)"
        )
    return ""


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _advice_for_pipeline(pipeline: Pipeline) -> str:
    """Say why a pipeline cannot be exported."""
    if not pipeline.steps:
        return " without steps"
    *steps, (name, last) = pipeline.steps
    if isinstance(last, BaseTabular):
        return (
            f" with a step before {type(last).__name__}, which prepares the columns of a table "
            "itself; train it without that step"
        )
    if not isinstance(last, BaseMLP):
        return f" whose last step {name!r} is a {_name(type(last))}, and no network"
    others = [step for _, step in steps if step not in (None, "passthrough")]
    others = [step for step in others if type(step) not in _SCALERS] or [pipeline]
    return (
        f" with a {_name(type(others[0]))}; replace its last step by pipeline[-1].to_sklearn() "
        "and convert it with the package skl2onnx, or scale with StandardScaler alone"
    )


def _networks_in(model: Any) -> bool:
    """Tell whether an estimator that holds others, fitted or not, holds networks of fastmlp."""
    inner = [getattr(model, name, None) for name in ("estimator", "estimator_", "regressor_")]
    for name in ("estimators_", "calibrated_classifiers_", "estimators"):
        several = getattr(model, name, None)
        inner += list(several) if isinstance(several, list | tuple) else []
    inner = [part[1] if isinstance(part, tuple) and len(part) > 1 else part for part in inner]
    inner = [getattr(part, "estimator", part) for part in inner]
    inner = [part[-1] if isinstance(part, Pipeline) and part.steps else part for part in inner]
    return any(isinstance(part, BaseMLP | BaseTabular) for part in inner)
