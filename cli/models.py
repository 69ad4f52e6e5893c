"""Model files as arguments of commands."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UserError


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
