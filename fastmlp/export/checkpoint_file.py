"""The file of a checkpoint, which is a skops archive like a model file, and as safe to read."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import IO, Any

from ..exceptions import ModelFileError
from ..training.checkpoint import KeptFit, TrainingState
from .archive import Archive, RefusedError
from .consistency import check_model
from .contents import check_contents
from .files import check_output, written_aside
from .making import made
from .model_file import HOLDS_CHECKPOINT, archive_of, load, read_manifest
from .nodes import Record, read_root


def is_checkpoint(path: str | PathLike[str]) -> bool:
    """Tell whether this is the file of a checkpoint, by what it says of itself."""
    if not Path(path).is_file():
        return False
    try:
        return bool(read_manifest(path)["holds"] == HOLDS_CHECKPOINT)
    except ModelFileError:
        return False


def check_path(path: str | PathLike[str]) -> None:
    """Refuse a path at which no checkpoint could be written, or where another file is.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        When the path cannot be written; see :func:`fastmlp.export.files.check_output`.
    ModelFileError
        When there is a file that is no checkpoint.
    """
    check_output(path)
    found = Path(path)
    if found.exists() and found.stat().st_size and not is_checkpoint(path):
        raise ModelFileError(f"{path}: exists and is not a checkpoint; choose another file")


def write_checkpoint(kept: KeptFit, path: str | PathLike[str]) -> None:
    """Write a checkpoint; the former one stays until the new one is whole.

    Where the model so far cannot be in a file, since it has functions as parameters, the
    checkpoint is written without it.

    Parameters
    ----------
    kept : KeptFit
    path : str or Path

    Raises
    ------
    InputError, OSError
        When it cannot be written, as on a full disk.
    """
    file = archive_of(kept, path)
    try:
        _read(file)
    except RefusedError as error:
        if kept.model is None:
            raise ModelFileError(f"{path}: this could not be read again: {error}") from None
        write_checkpoint(replace(kept, model=None), path)
        return
    with written_aside(path) as aside, open(aside, "wb") as target:
        target.write(file.getbuffer())


def read_checkpoint(path: str | PathLike[str]) -> KeptFit:
    """Read a checkpoint, as safely as :func:`fastmlp.load_model` reads a model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    KeptFit

    Raises
    ------
    ModelFileError
        When the file is missing or damaged, or holds anything that is no part of a checkpoint.
    """
    kept: KeptFit = load(path, "checkpoint", _read)
    return kept


def model_so_far(path: str | PathLike[str]) -> Any:
    """Return the model in a checkpoint; see :meth:`fastmlp.Checkpoint.model`."""
    model = read_checkpoint(path).model
    if model is None:
        raise ModelFileError(
            f"{path}: this checkpoint has no model yet: no network is complete, or a parameter is "
            "a function"
        )
    return model


def _read(file: IO[bytes]) -> KeptFit:
    """Read what an archive holds; raise RefusedError for anything but a checkpoint."""
    root = read_root(Archive(file))
    if not isinstance(root, Record) or root.cls is not KeptFit:
        raise RefusedError("it holds no checkpoint")
    check_contents(root)
    kept: KeptFit = made(root)
    if len(kept.places) != len(kept.states):
        raise RefusedError("its states are not at as many places")
    for state in kept.states:
        _check_state(state)
    if kept.model is not None:
        check_model(kept.model)
    return kept


def _check_state(state: TrainingState) -> None:
    """Raise RefusedError unless the parts of a state fit each other."""
    n_epochs, curve, scores = len(state.numbers), state.loss_curve, state.validation_scores
    if state.numbers.shape != (n_epochs, 6) or state.is_known.shape != state.numbers.shape:
        raise RefusedError("its numbers of epochs have other sizes than they should")
    if state.dead_units is not None and len(state.dead_units) != n_epochs:
        raise RefusedError("its dead units are of other epochs")
    if len(curve) < n_epochs or (scores is not None and len(scores) < n_epochs):
        raise RefusedError("its curves are too short for its epochs")
