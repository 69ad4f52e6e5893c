"""Objects that are no models of this package: what they are called, and what to do with them."""

from typing import Any

import sklearn.neural_network
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from ..estimators.base import BaseMLP
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
