"""Commands for a model that was trained: ``predict``, ``evaluate``, ``info`` and ``export``."""

from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about
from .options import called, file_path, model_argument, opened, table_options


def _output_path(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> Path | None:
    return None if text in (None, "-") else Path(text)


@click.command(cls=Command)
@model_argument
@click.argument("data", type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    callback=_output_path,
    help="CSV file of the predictions.  [default: standard output, as for -]",
)
@click.option("--proba", is_flag=True, help="Print the probability of each class as well.")
@table_options
def predict(
    model: Path,
    data: str,
    output: Path | None,
    proba: bool,
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Predict the target of every row of the CSV file DATA with MODEL.

    DATA may be compressed, and - is standard input.
    """
    import pandas as pd

    from fastmlp.export.files import check_output, written_aside
    from fastmlp.tabular.train import read_for

    from .output import print_json

    if output is not None:
        check_output(output)
        for source in (model, Path(data)):
            if output.exists() and source.exists() and output.samefile(source):
                raise UserError(f"{output}: this is read, too; choose another name with -o")
    loaded = _load_table_model(model)
    if proba and not hasattr(loaded, "predict_proba"):
        raise UserError(f"{model}: a regression model has no class probabilities")
    frame = read_for(loaded, opened(data), na_values=na_values, **reading)
    with about(Path(called(data))):
        probabilities = loaded.predict_proba(frame) if proba else None
        name = "prediction" if loaded.target_name_ is None else loaded.target_name_
        result = pd.DataFrame({name: loaded.predict(frame)})
    if proba:
        columns = [f"probability_{name}" for name in loaded.classes_]
        result = result.join(pd.DataFrame(probabilities, columns=columns))
    if as_json:
        print_json({"predictions": result.to_dict("records")})
    if output is not None:
        with written_aside(output) as aside:
            result.to_csv(aside, index=False)
    elif not as_json:
        click.echo(result.to_csv(index=False), nl=False)


@click.command(cls=Command)
@model_argument
@click.argument("data", type=click.Path())
@table_options
def evaluate(
    model: Path,
    data: str,
    as_json: bool,
    na_values: tuple[str, ...],
    **reading: Any,
) -> None:
    """Measure MODEL on the CSV file DATA, which has the target column.

    DATA may be compressed, and - is standard input.
    """
    from fastmlp.tabular import train

    from .output import print_json, print_metrics, print_rows

    loaded = _load_table_model(model)
    frame = train.read_for(loaded, opened(data), na_values=na_values, allow_empty=False, **reading)
    with about(Path(called(data))):
        metrics = train.evaluate(loaded, frame)
    if as_json:
        print_json({"rows": len(frame), "target": loaded.target_name_, **metrics})
        return
    print_rows([("rows", str(len(frame))), ("target", loaded.target_name_)])
    click.echo()
    print_metrics(metrics, what="value")


@click.command(cls=Command)
@model_argument
def info(model: Path, as_json: bool) -> None:
    """Say what the file MODEL holds."""
    from fastmlp.export.model_file import load_model, read_manifest

    from .output import describe, format_metrics, print_json, print_rows

    manifest = read_manifest(model)
    loaded = load_model(model)
    columns, report = getattr(loaded, "columns_", None), getattr(loaded, "report_", None)
    network = getattr(loaded, "estimator_", loaded)
    coefs = getattr(network, "coefs_", [])
    layers = [w.shape[0] for w in coefs[:1]] + [w.shape[1] for w in coefs]
    if as_json:
        print_json({**manifest, "layers": layers, "columns": columns, "report": report})
        return
    rows = [
        ("file", f"{model}, {model.stat().st_size / 1024:.0f} KiB, skops archive"),
        ("holds", manifest["holds"]),
        ("written", f"{manifest['created']} by fastmlp {manifest['fastmlp']}, "
                    f"scikit-learn {manifest['scikit-learn']}"),
    ]  # fmt: skip
    if report is None:
        rows.append(("network", "-".join(map(str, layers))))
    else:
        rows += describe(report)
        rows += [("test", format_metrics(report.get("test", {})))]
    if columns is not None:
        for kind in ("numeric", "text"):
            names = [str(c["name"]) for c in columns if c["kind"] == kind]
            rows.append((kind, ", ".join(names)))
        dropped = [f"{c['name']} ({c['reason']})" for c in columns if c["kind"] == "dropped"]
        rows.append(("dropped", ", ".join(dropped)))
        if hasattr(loaded, "classes_"):
            rows.append(("classes", ", ".join(map(str, loaded.classes_))))
    print_rows(rows)


@click.command(cls=Command)
@model_argument
@click.argument("output", type=click.Path(), callback=file_path)
def export(model: Path, output: Path, as_json: bool) -> None:
    """Write MODEL as an ONNX graph to OUTPUT, preprocessing included.

    Each feature column is an input of shape (rows, 1): float64, not-a-number for what is
    missing, or strings. Needs the onnx extra: pip install 'fastmlp[onnx]'.
    """
    from fastmlp.export.files import check_output
    from fastmlp.export.model_file import load_model
    from fastmlp.export.onnx import export_onnx, is_onnx_file

    from .output import print_json, print_rows

    check_output(output)
    if output.exists() and output.stat().st_size and not is_onnx_file(output):
        raise UserError(f"{output}: exists and is not an ONNX file; choose another name")
    export_onnx(load_model(model), output)
    size = output.stat().st_size
    if as_json:
        print_json({"onnx": str(output), "bytes": size})
    else:
        print_rows([("onnx", f"{output}, {size / 1024:.0f} KiB")])


def _load_table_model(path: Path) -> Any:
    """Load a model that was trained on a table; refuse others."""
    from fastmlp.export.model_file import load_model

    model = load_model(path)
    if not hasattr(model, "target_name_"):
        raise UserError(
            f"{path}: holds a bare {type(model).__name__}, which predicts no target of a table; "
            "use it from Python"
        )
    return model
