"""Model files that commands read and write."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UserError

_ENDINGS = (
    ".gz", ".bz2", ".xz", ".zip", ".zst", ".tar", ".csv", ".tsv", ".tab", ".txt", ".parquet",
)  # fmt: skip


def is_model(path: Path) -> bool:
    """Tell whether a path is a model file of fastmlp; pipes and devices are not looked into."""
    return _kind(path) == "model"


def is_checkpoint(path: Path) -> bool:
    """Tell whether a path is the checkpoint of a fit."""
    return _kind(path) == "checkpoint"


def _kind(path: Path) -> str:
    """Tell whether a path is a 'model', a 'checkpoint', or '', something else."""
    if not os.path.isfile(path):  # unlike the method of Path, it raises nothing
        return ""
    from fastmlp.exceptions import ModelFileError
    from fastmlp.export.model_file import HOLDS_CHECKPOINT, read_manifest

    try:
        holds = read_manifest(path)["holds"]
    except (ModelFileError, OSError):
        return ""
    return "checkpoint" if holds == HOLDS_CHECKPOINT else "model"


def check_no_models(data: Sequence[str]) -> None:
    """Raise UserError where a table to train on is a model, or the checkpoint of a training."""
    for name in data:
        if is_model(Path(name)) or is_checkpoint(Path(name)):
            what = "model" if is_model(Path(name)) else "checkpoint"
            raise UserError(f"{name}: this is a {what}, and not a table to train on")


def load_table_model(path: Path, data: Path | str | Sequence[str]) -> Any:
    """Load a model that was trained on a table, to use it on another one.

    Parameters
    ----------
    path : Path
        The argument MODEL of a command.
    data : Path, str, or sequence of str
        The argument DATA.

    Returns
    -------
    TabularClassifier or TabularRegressor

    Raises
    ------
    ModelFileError
        When the file cannot be loaded.
    UserError
        When it holds another model, and when one of `data` is a model.
    """
    from fastmlp.export.model_file import load_model

    for name in [data] if isinstance(data, str | Path) else data:
        if is_model(Path(name)):
            if is_model(path):
                raise UserError(f"{name}: this is a model, and not a table")
            raise UserError(f"{name}: this is the model, which comes first: MODEL DATA")
    model = load_model(path)
    if not hasattr(model, "target_name_"):
        raise UserError(
            f"{path}: holds a bare {type(model).__name__}, which predicts no target of a table; "
            "use it from Python"
        )
    return model


def save_trained(model: Any, path: Path) -> None:
    """Write a model; if that fails, as on a full disk, write it to the temporary folder instead.

    Raises
    ------
    UserError
        When it is not at `path`; the message says why, and where it is.
    """
    import tempfile

    from fastmlp.exceptions import InputError, ModelFileError
    from fastmlp.export.model_file import save_model

    try:
        save_model(model, path)
    except ModelFileError:  # it cannot be written anywhere
        raise
    except (InputError, OSError) as error:
        handle, rescued = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".fastmlp")
        os.close(handle)
        try:
            save_model(model, rescued)
        except (InputError, OSError):
            os.unlink(rescued)
            raise error from None
        raise UserError(f"{error}; the trained model is in {rescued} instead") from error


def stem_of(data: str) -> str:
    """Return the name of a data file without its endings; that of a pipe says nothing."""
    path = Path(data)
    name = "" if data == "-" or "/dev" in map(str, path.parents) else path.name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    if not os.path.exists(data):  # of a pattern such as part-*.csv the first letters are left
        name = re.split(r"[*?\[]", name)[0].rstrip("-_. ")
    return name or "model"


def check_model_path(path: Path) -> Path:
    """Return a path, if a model can be written there without replacing another kind of file."""
    from fastmlp.export.files import check_output

    check_output(path)
    # An empty file may be replaced.
    if path.exists() and path.stat().st_size and not is_model(path):
        raise UserError(
            f"{path}: exists and is not a model of fastmlp; choose another name with -o"
        )
    return path
