"""The facts of a model card: what a model is for, how good it is, and what it is not for."""

from typing import Any

from sklearn.base import is_classifier

from ..estimators.planning import layer_units
from .pack.members import networks_of
from .quantiles import quantile_levels
from .several import models_of, target_names

# Scores of fewer rows are called rough.
_FEW_TEST_ROWS = 200


def model_card(model: Any) -> dict[str, Any]:
    """Collect what the user of a fitted model should know of it.

    Parameters
    ----------
    model : estimator
        A fitted model of this package, or a preprocessor.

    Returns
    -------
    dict
        'task', 'targets', 'classes' (None for a regression), 'quantiles', 'trained_rows' and
        'missing_values' (both None where nobody has noted it), 'columns' (a list of dicts with
        'name', 'kind' and 'levels', the number of levels of text or None), 'dropped' (a dict of
        reasons), 'networks', 'layers' (a list of them for each different network), 'parameters',
        the number of weights and biases, 'scores' (a dict with the 'rows', 'source', 'test' and
        'baseline', or None) and 'limits', a list of sentences.
    """
    networks = [
        network
        for part in models_of(model)
        for network in networks_of(getattr(part, "estimator_", part))
        if hasattr(network, "coefs_")  # a preprocessor alone has none
    ]
    layers = [list(units) for units in dict.fromkeys(map(layer_units, networks))]
    is_table = hasattr(model, "target_name_")
    report = getattr(model, "report_", None) or {}
    columns = getattr(model, "columns_", ())
    return {
        "task": _task(model, networks),
        "targets": target_names(model) if is_table else [],
        "classes": [*model.classes_] if hasattr(model, "classes_") else None,
        "quantiles": list(quantile_levels(model)),
        "trained_rows": report.get("refit_rows") or report.get("train_rows"),
        "missing_values": list(getattr(model, "na_values_", ())),
        "columns": _columns(model),
        "dropped": {c["name"]: c["reason"] for c in columns if c["kind"] == "dropped"},
        "networks": len(networks),
        "layers": layers,
        "parameters": sum(_size(network) for network in networks),
        "scores": _scores(report),
        "limits": _limits(model, report) if is_table else [],
    }


def _task(model: Any, networks: list[Any]) -> str:
    if not networks:
        return "preparation of a table"
    return "classification" if is_classifier(model) else "regression"


def _size(network: Any) -> int:
    """Count the weights and biases of a network."""
    return sum(int(array.size) for array in (*network.coefs_, *network.intercepts_))


def _columns(model: Any) -> list[dict[str, Any]]:
    """Return the columns that the model uses."""
    first = models_of(model)[0]
    levels = iter(getattr(getattr(first, "preprocessor_", first), "levels_", ()))
    return [
        {
            "name": column["name"],
            "kind": column["kind"],
            "levels": len(next(levels, ())) if column["kind"] == "text" else None,
        }
        for column in getattr(model, "columns_", ())
        if column["kind"] != "dropped"
    ]


def _scores(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return the scores of the training, and which rows they are of."""
    if not {"test", "baseline"} <= report.keys():
        return None
    source = "rows that were held out at random and not trained on"
    if report.get("refit_rows"):
        source += (
            f", by a model of the other {report['train_rows']} rows; this one was then trained on "
            f"all {report['refit_rows']}"
        )
    return {
        "rows": report["test_rows"],
        "source": source,
        "test": report["test"],
        "baseline": report["baseline"],
    }


def _limits(model: Any, report: dict[str, Any]) -> list[str]:
    """Say what the model must not be used for, and what is unknown of it."""
    kinds = {column["kind"] for column in model.columns_}
    found = []
    if not report:
        found.append("How good it is is not in the file: measure it (fastmlp evaluate).")
    elif "test" not in report:
        found.append("No rows were held out, so nobody knows how good it is (fastmlp evaluate).")
    elif report["test_rows"] < _FEW_TEST_ROWS:
        found.append(f"Its scores are of {report['test_rows']} rows, and rough.")
    if _is_no_better(report):
        found.append("It is no better than the trivial prediction, and of no use as it is.")
    if report.get("interrupted"):
        found.append("Its training was interrupted.")
    elif report.get("cut_short"):
        found.append("A time limit left out networks that were planned.")
    found.append(
        "It is for rows of the kind that it was trained on; what it predicts for others, or years "
        "later, is unknown."
    )
    if "text" in kinds:
        found.append("Values of text that are rare or were not in the training count as one group.")
    if "numeric" in kinds:
        found.append("Numbers far beyond those of the training count as about as large as these.")
    if kinds & {"date", "words"}:
        found.append("It has columns of dates or free text, and cannot be exported to ONNX.")
    return found


def _is_no_better(report: dict[str, Any]) -> bool:
    """Tell whether the test scores are not above those of the trivial prediction."""
    test, baseline = report.get("test", {}), report.get("baseline", {})
    for name in ("log_loss", "pinball_loss", "rmse"):
        if name in test and name in baseline:
            return bool(test[name] >= baseline[name])
    return bool(test.get("r2", 0) < 0)
