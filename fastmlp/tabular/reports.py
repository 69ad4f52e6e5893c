"""What is reported on a model of a table after its training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..estimators.planning import layer_units
from .pack.members import Pack
from .pack.preparation import why
from .several import models_of, target_names


def report_on(model: Any, seconds: float) -> dict[str, Any]:
    """Collect what ``report_`` says about a fitted model itself.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    seconds : float
        Time of its training.

    Returns
    -------
    dict
    """
    kinds = [column["kind"] for column in model.columns_]
    trained = _of_all([_of_model(one) for one in models_of(model)], target_names(model))
    return {
        "numeric_columns": kinds.count("numeric"),
        "text_columns": kinds.count("text"),
        "date_columns": kinds.count("date"),
        "words_columns": kinds.count("words"),
        "dropped_columns": {
            column["name"]: column["reason"]
            for column in model.columns_
            if column["kind"] == "dropped"
        },
        "inputs": trained["inputs"],
        "layers": trained["layers"],
        "epochs": int(model.n_iter_),
        "seconds": round(seconds, 3),
        "loss": trained["loss"],
        "validation_score": trained["validation_score"],
        "why": why(model) if len(models_of(model)) == 1 else f"for each target {why(model)}",
        **trained,
    }


def _of_model(model: Any) -> dict[str, Any]:
    """Report on the pack or the network of a model for one target."""
    describe = _of_pack if isinstance(model.estimator_, Pack) else _of_network
    return {"epochs": int(model.n_iter_), **describe(model.estimator_)}


def _of_network(network: Any) -> dict[str, Any]:
    """Report on the network of a model."""
    units = layer_units(network)
    return {
        "inputs": units[0],
        "layers": list(units),
        "loss": float(network.loss_) if network.loss_curve_ else None,
        "validation_score": network.best_validation_score_,
    }


def _of_pack(pack: Pack) -> dict[str, Any]:
    """Report on a pack: the layers are those of a member of the kind with the largest weight."""
    first = max(pack.weights, key=lambda kind: pack.weights[kind])
    return {
        "inputs": max(member.stop for member in pack.members),
        "layers": list(layer_units(next(m.network for m in pack.members if m.kind == first))),
        "loss": pack.loss,
        "validation_score": pack.score,
        "pack": pack.kinds,
        "networks": len(pack.members),
        "cut_short": pack.is_cut_short,
    }


def _of_all(parts: Sequence[dict[str, Any]], names: Sequence[Any]) -> dict[str, Any]:
    """Return the report on the networks of an estimator, which may have several models.

    Parameters
    ----------
    parts : sequence of dict
        The reports on the models of the targets.
    names : sequence of hashable
        The names of the targets.

    Returns
    -------
    dict
        The only report there is; or one on all of them, with a list of them, 'targets'.
    """
    if len(parts) == 1:
        return parts[0]
    report: dict[str, Any] = {
        "inputs": max(part["inputs"] for part in parts),
        "layers": parts[0]["layers"],
        "loss": None,
        "validation_score": None,
        "targets": [{"target": name, **part} for name, part in zip(names, parts, strict=True)],
    }
    if "networks" in parts[0]:
        report["networks"] = sum(part["networks"] for part in parts)
        report["cut_short"] = any(part["cut_short"] for part in parts)
    return report


def report_metrics(
    report: dict[str, Any],
    test: Sequence[dict[str, float]],
    baseline: Sequence[dict[str, float]],
) -> None:
    """Add the metrics of each target on the test rows to a report."""
    for name, measured in (("test", test), ("baseline", baseline)):
        if len(measured) == 1:
            report[name] = measured[0]
            continue
        report[name] = {"r2": mean_r2(measured)}
        for part, metrics in zip(report["targets"], measured, strict=True):
            part[name] = metrics


def mean_r2(measured: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean over targets of R^2, which is the score of their estimator."""
    return float(np.mean([metrics["r2"] for metrics in measured]))
