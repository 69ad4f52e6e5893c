"""Commands for a model that was trained: ``evaluate`` and ``info``."""

from pathlib import Path
from typing import Any

import click

from .completion import column_names
from .errors import Command, about
from .models import is_checkpoint, load_table_model
from .options import called, data_argument, opened, table_options
from .types import FilePath, FiniteRange


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@data_argument
@click.option(
    "--by",
    multiple=True,
    metavar="COL",
    shell_complete=column_names,
    help="Column by whose values rows are grouped, each with scores of its own. Can be repeated.",
)
@click.option(
    "--level",
    type=FiniteRange(0, 1, max_open=True),
    default=0.95,
    show_default=True,
    help="Level of the intervals of confidence; 0 for none.",
)
@table_options
def evaluate(
    model: Path,
    data: tuple[str, ...],
    by: tuple[str, ...],
    level: float,
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Measure MODEL on the table DATA, which has the target column.

    Each score has an interval of confidence: where other rows of the same kind would put it
    (bootstrap by rows). It says nothing of rows of another kind. Scores of rows that the model was
    trained on are too good; a line says so where there are many of them.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.

    With --by, numbers of many values are cut into quarters, and other values of fewer than 20
    rows are joined.
    """
    from fastmlp.tabular.evaluation import measure
    from fastmlp.tabular.train import read_for

    from .output import called_targets, print_json, print_rows
    from .scores import print_groups, print_scores, warn_of_trained_rows

    loaded = load_table_model(model, data)
    frame = read_for(loaded, opened(data), na_values=na_values, allow_empty=False, **reading)
    with about(Path(called(data)), frame):
        found = measure(loaded, frame, level=level or None, by=list(by))
    warn_of_trained_rows(model, loaded, frame)
    if as_json:
        print_json({"target": loaded.target_name_, **found})
        return
    print_rows([("rows", str(len(frame))), called_targets(loaded.target_name_)])
    print_scores(found)
    for column, groups in found.get("groups", {}).items():
        print_groups(column, groups)


@click.command(cls=Command)
@click.argument("model", type=FilePath())
def info(model: Path, as_json: bool) -> None:
    """Say what the file MODEL holds, which may be the checkpoint of a training.

    Of a model it is a card: what it is for, the columns that it needs, the rows that it was
    trained on, how good it is and by which rows, its networks, and its limits.
    """
    from fastmlp.export.model_file import load_model, read_manifest
    from fastmlp.tabular.card import model_card

    from .card import print_card
    from .output import print_json

    manifest = read_manifest(model)
    if is_checkpoint(model):
        _show_checkpoint(model, manifest, as_json)
        return
    loaded = load_model(model)
    card, report = model_card(loaded), getattr(loaded, "report_", None)
    if as_json:
        first = card["layers"][0] if card["layers"] else []
        columns = getattr(loaded, "columns_", None)
        size = model.stat().st_size
        facts = {"file": str(model), "bytes": size, **manifest, "layers": first}
        print_json({**facts, "columns": columns, "report": report, "card": card})
        return
    print_card(model, manifest, card, report)


def _show_checkpoint(path: Path, manifest: dict[str, Any], as_json: bool) -> None:
    """Say how far a training has come, and what it is of."""
    from fastmlp.export.checkpoint_file import read_checkpoint

    from .output import print_json, print_rows

    kept = read_checkpoint(path)
    progress, model = kept.progress, kept.model
    if as_json:
        print_json({**manifest, "holds": "checkpoint", **progress, "has_model": model is not None})
        return
    written = f"{manifest['created']} by fastmlp {manifest['fastmlp']}"
    rows = [
        ("file", f"{path}, {path.stat().st_size / 1024:.0f} KiB, skops archive"),
        ("holds", "the checkpoint of a training"),
        ("written", f"{written}, after {progress['seconds']:.0f} s"),
        ("model", "none yet" if model is None else f"{type(model).__name__} (fastmlp export)"),
        ("epochs", str(progress["epochs"])),
        ("visits", f"{progress['visits']:.0f} of the next epoch" if "visits" in progress else ""),
        ("networks", str(progress["networks"]) if progress["networks"] > 1 else ""),
    ]
    for name, title in (("loss", "loss"), ("validation_score", "best validation score")):
        if progress[name] is not None:
            rows.append((title, f"{progress[name]:.4g}"))
    for name, value in kept.fingerprint.items():
        if name.startswith("the") and "digest" not in name and "column" not in name:
            rows.append((name.removeprefix("the "), value))
    print_rows(rows)
