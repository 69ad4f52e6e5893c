"""Commands for a model that was trained: ``evaluate``, ``info`` and ``export``."""

from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about
from .models import is_checkpoint, is_model, load_table_model
from .options import called, data_argument, opened, table_options
from .signals import signals_held
from .terminal import echo
from .types import FilePath


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@data_argument
@table_options
def evaluate(
    model: Path,
    data: tuple[str, ...],
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Measure MODEL on the table DATA, which has the target column.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.
    """
    from fastmlp.tabular import train

    from .output import called_targets, print_json, print_metrics, print_rows, print_targets

    loaded = load_table_model(model, data)
    frame = train.read_for(loaded, opened(data), na_values=na_values, allow_empty=False, **reading)
    with about(Path(called(data))):
        metrics = train.evaluate(loaded, frame)
    if as_json:
        print_json({"rows": len(frame), "target": loaded.target_name_, **metrics})
        return
    print_rows([("rows", str(len(frame))), called_targets(loaded.target_name_)])
    if "targets" in metrics:
        print_targets(metrics["targets"])
        return
    echo()
    print_metrics(metrics, what="value")


@click.command(cls=Command)
@click.argument("model", type=FilePath())
def info(model: Path, as_json: bool) -> None:
    """Say what the file MODEL holds, which may be the checkpoint of a training."""
    from fastmlp.estimators.planning import layer_units
    from fastmlp.export.model_file import load_model, read_manifest
    from fastmlp.tabular.pack.members import networks_of
    from fastmlp.tabular.several import models_of

    from .output import (
        KINDS,
        describe,
        format_metrics,
        print_json,
        print_kinds,
        print_rows,
        print_targets,
    )

    manifest = read_manifest(model)
    if is_checkpoint(model):
        _show_checkpoint(model, manifest, as_json)
        return
    loaded = load_model(model)
    columns, report = getattr(loaded, "columns_", None), getattr(loaded, "report_", None)
    layers = [
        layer_units(network)
        for part in models_of(loaded)
        for network in networks_of(getattr(part, "estimator_", part))
        if hasattr(network, "coefs_")  # a preprocessor alone has none
    ]
    if as_json:
        first = layers[0] if layers else []
        print_json({**manifest, "layers": first, "columns": columns, "report": report})
        return
    rows = [
        ("file", f"{model}, {model.stat().st_size / 1024:.0f} KiB, skops archive"),
        ("holds", manifest["holds"]),
        ("written", f"{manifest['created']} by fastmlp {manifest['fastmlp']}, "
                    f"scikit-learn {manifest['scikit-learn']}"),
    ]  # fmt: skip
    if report is None:
        shown = dict.fromkeys("-".join(map(str, units)) for units in layers)
        rows.append(("networks" if len(layers) > 1 else "network", ", ".join(shown)))
    else:
        rows += describe(report)
        rows += [("test", format_metrics(report.get("test", {})))]
    if columns is not None:
        for kind in KINDS:
            names = [str(c["name"]) for c in columns if c["kind"] == kind]
            rows.append((kind, ", ".join(names)))
        dropped = [f"{c['name']} ({c['reason']})" for c in columns if c["kind"] == "dropped"]
        rows.append(("dropped", ", ".join(dropped)))
        if hasattr(loaded, "classes_"):
            rows.append(("classes", ", ".join(map(str, loaded.classes_))))
    print_rows(rows)
    if report is not None:
        print_kinds(report)
        if "targets" in report:
            print_targets(report["targets"])


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@click.argument("output", type=FilePath())
def export(model: Path, output: Path, as_json: bool) -> None:
    """Write MODEL as an ONNX graph to OUTPUT, preprocessing included.

    Where MODEL is the checkpoint of a training, and OUTPUT does not end in .onnx, the model that
    training has reached is written as a model file.

    Each feature column is an input of shape (rows, 1): float64, not-a-number for what is
    missing, or strings. Needs the onnx extra: pip install 'fastmlp[onnx]'.
    """
    from fastmlp.export.checkpoint_file import model_so_far
    from fastmlp.export.files import check_output
    from fastmlp.export.model_file import load_model
    from fastmlp.export.onnx import export_onnx, is_onnx_file

    from .output import print_json, print_rows

    check_output(output)
    if is_checkpoint(model) and output.suffix.lower() != ".onnx":
        _export_model(model, output, as_json)
        return
    if output.exists() and output.stat().st_size and not is_onnx_file(output):
        raise UserError(f"{output}: exists and is not an ONNX file; choose another name")
    loaded = model_so_far(model) if is_checkpoint(model) else load_model(model)
    with signals_held():
        export_onnx(loaded, output)
    size = output.stat().st_size
    if as_json:
        print_json({"onnx": str(output), "bytes": size})
    else:
        print_rows([("onnx", f"{output}, {size / 1024:.0f} KiB")])


def _export_model(checkpoint: Path, output: Path, as_json: bool) -> None:
    """Write the model in a checkpoint as a model file."""
    from fastmlp.export.checkpoint_file import model_so_far
    from fastmlp.export.model_file import save_model

    from .output import print_json, print_rows

    if output.exists() and output.stat().st_size and not is_model(output):
        raise UserError(f"{output}: exists and is not a model of fastmlp; choose another name")
    found = model_so_far(checkpoint)
    with signals_held():
        save_model(found, output)
    if as_json:
        print_json({"model": str(output)})
    else:
        print_rows([("model", str(output))])


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
        ("networks", str(progress["networks"]) if progress["networks"] > 1 else ""),
    ]
    for name, title in (("loss", "loss"), ("validation_score", "best validation score")):
        if progress[name] is not None:
            rows.append((title, f"{progress[name]:.4g}"))
    for name, value in kept.fingerprint.items():
        if name.startswith("the") and "digest" not in name and "column" not in name:
            rows.append((name.removeprefix("the "), value))
    print_rows(rows)
