"""What commands print: short tables for people, JSON for programs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .errors import in_shell_words
from .terminal import echo, visible

KINDS = ("numeric", "text", "date", "words")  # of columns that a model uses
_METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "roc_auc": "ROC AUC",
    "r2": "R2",
    "rmse": "RMSE",
    "mae": "MAE",
    "pinball_loss": "pinball loss",
}


def print_json(value: Any) -> None:
    """Print one JSON object; numbers that JSON does not know become null.

    It is plain ASCII: all other characters are written as JSON's escapes.
    """
    # The one control character that JSON lets pass.
    echo(json.dumps(_plain(value), indent=2).replace("\x7f", r"\u007f"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_candidates(result: Any, most: int = 5) -> None:
    """Print the best candidates of a search, and how much each parameter matters.

    Parameters
    ----------
    result : TuningResult
    most : int, default=5
        How many candidates at most.
    """
    from fastmlp.search.space import shown

    tried = [record for record in result.trials if record["state"] == "complete"]
    scores = [f"{record['score']:.4f}" for record in tried]
    metric = shown_metric(result.scoring)
    width = max(len(metric), *map(len, scores))
    echo(f"{'trial':>5}  {metric:>{width}}  {'seconds':>7}  parameters")
    for record, score in list(zip(tried, scores, strict=True))[:most]:
        given = "  ".join(f"{name}={shown(value)}" for name, value in record["params"].items())
        echo(
            f"{record['candidate']:>5}  {score:>{width}}  {record['seconds']:>7.1f}  "
            f"{visible(record['start'] or given)}"
        )
    if result.importances_:
        echo()
        longest = max(map(len, result.importances_))
        echo(f"{'':<{longest}}  importance")
        for name, share in result.importances_.items():
            echo(f"{name:<{longest}}  {share:>10.2f}")


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print aligned lines of a name and a value."""
    rows = [(visible(name), visible(value)) for name, value in rows if value]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        echo(f"{name:<{width}}  {value}")


def shown_metric(name: str) -> str:
    """Return the name of a metric for people; those of quantiles have levels."""
    return _METRIC_NAMES.get(name, name.replace("below_", "rows below "))


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Write metrics in one line."""
    return "   ".join(f"{shown_metric(name)} {value:.4g}" for name, value in metrics.items())


def print_metrics(
    metrics: Mapping[str, float], baseline: Mapping[str, float] | None = None, what: str = "test"
) -> None:
    """Print metrics below each other, beside those of the baseline."""
    names = [shown_metric(name) for name in metrics]
    width = max(map(len, names))
    header = f"{'':<{width}}  {what:>10}"
    if baseline:
        header += f"  {'baseline':>10}"
    echo(header)
    for name, key in zip(names, metrics, strict=True):
        line = f"{name:<{width}}  {metrics[key]:>10.4f}"
        if baseline and key in baseline:
            line += f"  {baseline[key]:>10.4f}"
        echo(line)


def print_targets(targets: Iterable[Mapping[str, Any]]) -> None:
    """Print the metrics of several targets, beside those of the baseline where there are such.

    Parameters
    ----------
    targets : iterable of dict
        Each has the name of a 'target', and its metrics, or 'test' and 'baseline' with these.
        Nothing is printed where they have none.
    """
    lines = [("target", *(_METRIC_NAMES[name] for name in ("r2", "rmse", "mae")))]
    for part in targets:
        metrics = part.get("test", part)
        if "r2" not in metrics:
            return
        numbers = (f"{metrics['r2']:.4f}", *(f"{metrics[name]:.4g}" for name in ("rmse", "mae")))
        if "baseline" in part:
            lines[0] = (*lines[0][:4], "baseline RMSE")
            numbers = (*numbers, f"{part['baseline']['rmse']:.4g}")
        lines.append((visible(str(part["target"])), *numbers))
    echo()
    width = max(len(name) for name, *_ in lines)
    for name, *shown in lines:
        echo(f"{name:<{width}}" + "".join(f"  {number:>10}" for number in shown))


def print_kinds(report: Mapping[str, Any]) -> None:
    """Print the kinds of networks that a pack has, or nothing for a single network."""
    kinds = [kind for kind in report.get("pack", ()) if kind["weight"]]
    if not kinds:
        return
    metric = "RMSE" if report["task"] == "regression" else "log loss"
    if "pinball_loss" in report.get("test", ()):
        metric = "pinball"
    echo()
    lines: list[tuple[str, ...]] = [("kind", "weight", "networks", "inputs", "epochs", metric)]
    for kind in sorted(kinds, key=lambda kind: kind["weight"], reverse=True):
        counts = (str(kind[name]) for name in ("folds", "inputs", "epochs"))
        weight, loss = f"{kind['weight']:.2f}", f"{kind['loss']:.4g}"
        lines.append((visible(kind["kind"]), weight, *counts, loss))
    lines.append(("together", "", str(report["networks"]), "", "", f"{report['loss']:.4g}"))
    width = max(len(name) for name, *_ in lines)
    for name, *shown in lines:
        echo(f"{name:<{width}}" + "".join(f"  {number:>8}" for number in shown))


def describe(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the table that describes a fit."""
    counts = {kind: report.get(f"{kind}_columns") for kind in KINDS}  # an older one has fewer
    kinds = [f"{n_columns} {kind}" for kind, n_columns in counts.items() if n_columns]
    reason = f" ({report['task_reason']})" if report["task_reason"] else ""
    again = "; then all were trained on" if "refit_rows" in report else ""
    parts = f" ({report['train_rows']} training, {report['test_rows']} test{again})"
    return [
        ("rows", f"{report['rows']}{parts if report['test_rows'] else ''}"),
        ("features", f"{', '.join(kinds)}; {report['inputs']} inputs"),
        called_targets(report["target"]),
        ("task", f"{report['task']}{reason}"),
        ("chosen", in_shell_words(report.get("why", ""))),
        _form(report),
        ("epochs", str(report["epochs"])),
        ("seconds", f"{report['seconds']:.2f}"),
    ]


def called_targets(name: Any) -> tuple[str, str]:
    """Return the row that names the target, or several."""
    return ("targets", ", ".join(map(str, name))) if isinstance(name, list) else ("target", name)


def _form(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return the row that says what is trained."""
    layers = "-".join(map(str, report["layers"]))
    if "networks" not in report:
        return "network", layers
    tried = n_trained(report)
    more = f", of {tried} that were tried" if tried > report["networks"] else ""
    return "networks", f"{report['networks']}{more}"


def n_trained(report: Mapping[str, Any]) -> int:
    """Count the networks that were trained for a pack, or for the packs of several targets."""
    packs = [part["pack"] for part in report.get("targets", [report])]
    return sum(kind["folds"] for kinds in packs for kind in kinds)


def remarks(model: Any) -> Iterator[str]:
    """Yield what the user should know of a fit: decisions, dropped columns, limits met."""
    report = model.report_
    if report["task_reason"]:
        yield f"task: {report['task']}, {report['task_reason']} (choose with --task)"
    yield from dropped_lines(report["dropped_columns"])
    if report.get("cut_short") and not report["interrupted"]:
        yield "the time limit left out networks that were planned (see --time-limit)"
    if not report["converged"] and not report["interrupted"]:
        yield f"stopped at the limit of {_most_epochs(model)} epochs (see --epochs)"


def _most_epochs(model: Any) -> int:
    """Return the epochs of the network that was trained for most of them."""
    trained = [one.estimator_ for one in getattr(model, "models_", [model])]
    networks = [
        member.network for one in trained for member in getattr(one, "members", ())
    ] or trained
    return max(int(network.n_iter_) for network in networks)


def dropped_lines(dropped: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each reason why columns were dropped."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in dropped.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield f"dropped {len(names)} column{'s' * (len(names) > 1)}, {reason}: {listed}"
