"""The model card that ``info`` prints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .errors import in_shell_words
from .output import (
    KINDS,
    called_targets,
    describe,
    format_metrics,
    print_kinds,
    print_rows,
    print_targets,
)
from .terminal import echo, visible

_WIDTH = 96


def print_card(
    path: Path, manifest: Mapping[str, Any], card: Mapping[str, Any], report: Any
) -> None:
    """Print what a model is, how good it is, and what it is not for.

    Parameters
    ----------
    path : Path
        The file of the model.
    manifest : dict
        As from :func:`fastmlp.export.model_file.read_manifest`.
    card : dict
        As from :func:`fastmlp.tabular.card.model_card`.
    report : dict or None
        What the training reported.
    """
    print_rows([
        ("file", f"{path}, {path.stat().st_size / 1024:.0f} KiB, skops archive"),
        ("holds", manifest["holds"]),
        ("written", f"{manifest['created']} by fastmlp {manifest['fastmlp']}, "
                    f"scikit-learn {manifest['scikit-learn']}"),
        *(_form(card) if report is None else describe(report)),
        ("size", f"{card['parameters']} parameters" if card["parameters"] else ""),
        *_scores(card["scores"]),
        *_columns(card),
        ("classes", ", ".join(map(str, card["classes"] or ()))),
        ("missing", ", ".join(map(repr, card["missing_values"]))),
    ])  # fmt: skip
    if card["limits"]:
        echo("\nLimits")
        for limit in card["limits"]:
            text = visible(in_shell_words(limit))
            echo(click.wrap_text(text, _WIDTH, initial_indent="- ", subsequent_indent="  "))
    if report is not None:
        print_kinds(report)
        if "targets" in report:
            print_targets(report["targets"])


def _form(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows on a model without a report of its training."""
    shown = ["-".join(map(str, units)) for units in card["layers"]]
    name = card["targets"][0] if len(card["targets"]) == 1 else card["targets"]
    target = [called_targets(name)] if card["targets"] else []
    return [
        *[(title, str(shown)) for title, shown in target],
        ("task", card["task"]),
        ("networks" if card["networks"] > 1 else "network", ", ".join(shown)),
    ]


def _scores(scores: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if scores is None:
        return []
    return [
        ("test", format_metrics(scores["test"])),
        ("baseline", format_metrics(scores["baseline"])),
        ("measured", f"on {scores['rows']} {scores['source']}"),
    ]


def _columns(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each kind of columns."""
    rows = []
    for kind in KINDS:
        names = [
            str(column["name"]) + (f" ({column['levels']} levels)" if column["levels"] else "")
            for column in card["columns"]
            if column["kind"] == kind
        ]
        rows.append((kind, ", ".join(names)))
    dropped = [f"{name} ({reason})" for name, reason in card["dropped"].items()]
    return [*rows, ("dropped", ", ".join(dropped))]
