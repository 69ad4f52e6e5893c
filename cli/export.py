"""The command ``export``: models for other programs."""

import os
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError
from .models import is_checkpoint, is_model
from .signals import signals_held
from .types import DataPath, FilePath

_FILES = {"onnx": "an ONNX file", "c": "a file of C by fastmlp"}
_FOLDERS = ("mlflow", "triton")


@click.command(cls=Command)
@click.argument("model", type=FilePath())
@click.argument("output", type=DataPath())
@click.option(
    "--to",
    "form",
    type=click.Choice([*_FILES, *_FOLDERS]),
    help="What OUTPUT is; by default what its ending says, .onnx or .c, and else onnx.",
)
@click.pass_context
def export(
    context: click.Context, model: Path, output: str, form: str | None, as_json: bool
) -> None:
    r"""Write MODEL for other programs to OUTPUT, preprocessing included.

    \b
    onnx    a graph for runtimes of ONNX
    c       one file of C99 without dependencies; its first lines show its use
    mlflow  a folder that MLflow loads, serves and registers
    triton  a folder of a model repository of the Triton Inference Server

    In a graph each feature column is an input of shape (rows, 1): float64, not-a-number for what
    is missing, or strings. onnx and triton need the onnx extra: pip install 'fastmlp[onnx]'.
    A file of the same kind is replaced; a folder must be new or empty.

    Where MODEL is the checkpoint of a training, what training has reached is written: as a model
    file, where neither --to nor the ending of OUTPUT says otherwise.
    """
    from fastmlp.export.checkpoint_file import model_so_far
    from fastmlp.export.files import check_output, check_output_folder
    from fastmlp.export.model_file import load_model

    by_name = Path(output).suffix.lower().removeprefix(".")
    form = form or (by_name if by_name in _FILES else None)
    path = _path(context, output, form in _FOLDERS)
    (check_output_folder if form in _FOLDERS else check_output)(path)
    is_training = is_checkpoint(model)
    form = form or ("model" if is_training else "onnx")
    if form not in _FOLDERS and path.exists() and path.stat().st_size and not _is_a(form, path):
        kind = _FILES.get(form, "a model of fastmlp")
        raise UserError(f"{path}: exists and is not {kind}; choose another name")
    loaded = model_so_far(model) if is_training else load_model(model)
    with signals_held():
        _write(loaded, form, path)
    _report(form, path, as_json)


def _path(context: click.Context, output: str, is_folder: bool) -> Path:
    """Return the path of what is written; only a folder may be typed with a slash at its end."""
    if is_folder:
        output = output.rstrip("/" + os.sep) or output
    argument = next(one for one in context.command.params if one.name == "output")
    return Path(FilePath().convert(output, argument, context))


def _is_a(form: str, path: Path) -> bool:
    """Tell whether a file is one that may be replaced by one of this form."""
    from fastmlp.export.c_code import is_c_file
    from fastmlp.export.onnx import is_onnx_file

    return {"onnx": is_onnx_file, "c": is_c_file, "model": is_model}[form](path)


def _write(model: Any, form: str, path: Path) -> None:
    """Write a model in a form."""
    from fastmlp.export.c_code import export_c
    from fastmlp.export.mlflow import export_mlflow
    from fastmlp.export.model_file import save_model
    from fastmlp.export.onnx import export_onnx
    from fastmlp.export.triton import export_triton

    write = {
        "onnx": export_onnx,
        "c": export_c,
        "mlflow": export_mlflow,
        "triton": export_triton,
        "model": save_model,
    }[form]
    write(model, path)


def _report(form: str, path: Path, as_json: bool) -> None:
    """Print what has been written, and how large it is."""
    from .output import print_json, print_rows

    if form == "model":
        if as_json:
            print_json({"model": str(path)})
        else:
            print_rows([("model", str(path))])
        return
    files = [path] if path.is_file() else [inside for inside in path.rglob("*") if inside.is_file()]
    size = sum(file.stat().st_size for file in files)
    if as_json:
        print_json({form: str(path), "bytes": size})
    else:
        print_rows([(form, f"{path}, {size / 1024:.0f} KiB")])
