"""Model files, which are skops archives: loading them never executes code in them.

skops writes the files. They are read here: ``archive`` looks at the archive before it unpacks
anything, ``nodes`` reads the few kinds of objects that models hold, ``contents`` says which may
stand where, ``making`` makes the objects, and ``consistency`` compares their sizes.
:func:`save_model` reads what it has written in the same way, so that it refuses what
:func:`load_model` would refuse.
"""

import copy
import errno
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import IO, Any

import sklearn
import skops.io

from .. import __version__
from ..estimators.classifier import MLPClassifier
from ..estimators.regressor import MLPRegressor
from ..exceptions import ModelFileError, warn_user
from ..tabular.classifier import TabularClassifier
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.regressor import TabularRegressor
from ..training.checkpoint import KeptFit
from .archive import (
    MANIFEST,
    SCHEMA,
    Archive,
    RefusedError,
    largest_size,
    parse_json,
    read_manifest_text,
    unpacked_size,
)
from .consistency import check_model
from .contents import check_contents
from .files import written_aside
from .making import made
from .nodes import Record, UnknownTypeError, read_root
from .others import save_advice

_FORMAT = 2
_READ_FORMATS = (1, 2)  # preprocessors have had transformers of scikit-learn in format 1
_KEYS = ("fastmlp", "scikit-learn", "holds", "created")
_LONGEST_WORD = 100
_LARGEST_COMPRESSED = 64 * 1024
# The classes that a file may hold at its top, each with an attribute that only fitted models have.
_MODELS = {
    MLPClassifier: "coefs_",
    MLPRegressor: "coefs_",
    TabularClassifier: "estimator_",
    TabularPreprocessor: "columns_",
    TabularRegressor: "columns_",  # one for several targets has no estimator_
}
# What the manifest of a checkpoint says that the file holds.
HOLDS_CHECKPOINT = KeptFit.__name__
_REMEDY = "functions as parameters (loss, scoring) can be set to others before saving"


def save_model(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted model to a file.

    The file is written under another name and then renamed, so that a failure leaves an older
    file as it was.

    Parameters
    ----------
    model : estimator
        A fitted MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or
        TabularPreprocessor.
    path : str or Path
        The file to write. The usual ending is ``.fastmlp``.

    Raises
    ------
    ModelFileError
        When it is not a fitted model, or holds something that :func:`load_model` would refuse;
        the message names the attribute.
    InputError
        When `path` cannot be written.
    OSError
        When writing fails, as on a full disk; the message names the file.
    """
    _check_is_model(model, path)
    if hasattr(model, "set_callbacks"):
        model = copy.copy(model).set_callbacks()  # removes callbacks from the copy
    file = archive_of(model, path)
    try:
        _read_model(file)
    except UnknownTypeError as error:
        raise ModelFileError(f"{path}: {error}; {_REMEDY}") from None
    except RefusedError as error:
        where = "" if "`" in str(error) else f"`{_unwritable(model)}`: "
        raise ModelFileError(f"{path}: this could not be loaded again: {where}{error}") from None
    with written_aside(path) as aside, open(aside, "wb") as target:
        target.write(file.getbuffer())


def _check_is_model(model: Any, path: str | PathLike[str]) -> None:
    """Raise ModelFileError unless this is a fitted model of fastmlp."""
    cls: Any = type(model)
    if cls not in _MODELS:
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise ModelFileError(
            f"{path}: a {name} is none of the models of fastmlp{save_advice(model)}"
        )
    if not hasattr(model, _MODELS[cls]):
        raise ModelFileError(f"{path}: the {cls.__name__} has not been fitted")


def archive_of(model: Any, path: str | PathLike[str]) -> io.BytesIO:
    """Return the archive with a model and its manifest.

    Raises
    ------
    ModelFileError
        When skops cannot write the model; the message names the attribute.
    """
    try:
        stored = _dumped(model)
        file = _compressed(stored)
        with zipfile.ZipFile(file) as archive:
            if unpacked_size(archive) > largest_size(len(file.getbuffer())):
                file = stored  # a file that is loaded may not grow so much
    except Exception as error:
        message = f"{path}: `{_unwritable(model)}` cannot be written: "
        raise ModelFileError(f"{message}{type(error).__name__} {error}; {_REMEDY}") from error
    manifest = {
        "format": _FORMAT,
        "fastmlp": __version__,
        "scikit-learn": sklearn.__version__,
        "holds": type(model).__name__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return file


def _dumped(value: Any) -> io.BytesIO:
    file = io.BytesIO()
    skops.io.dump(value, file, compression=zipfile.ZIP_STORED)
    return file


def _compressed(stored: io.BytesIO) -> io.BytesIO:
    """Compress all but the large arrays, which are weights that take long and hardly shrink."""
    file = io.BytesIO()
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(file, "w") as archive:
        for info in source.infolist():
            is_large = info.filename != SCHEMA and info.file_size > _LARGEST_COMPRESSED
            how = zipfile.ZIP_STORED if is_large else zipfile.ZIP_DEFLATED
            archive.writestr(info.filename, source.read(info), how)
    return file


def _unwritable(model: Any) -> str:
    """Return the name of the first attribute that skops cannot write as JSON."""
    for name, value in vars(model).items():
        try:
            with zipfile.ZipFile(_dumped(value)) as archive:
                parse_json(archive.read(SCHEMA))
        except Exception:
            return f"{name}.{_unwritable(value)}" if type(value) in _MODELS else name
    return type(model).__name__


def read_manifest(path: str | PathLike[str]) -> dict[str, Any]:
    """Read what a model file says about itself, without loading the model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Has the keys 'format' (its version), 'fastmlp' and 'scikit-learn' (the versions that
        wrote the file), 'holds' (the name of the class) and 'created' (date and time). All but
        the format are short text of printable characters.

    Raises
    ------
    ModelFileError
        When the file is missing or is not a model file.
    """
    with opened(path) as file:
        return _manifest(file, path)


def opened(path: str | PathLike[str]) -> IO[bytes]:
    """Open a model file; raise ModelFileError for what cannot be one."""
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ModelFileError(f"{path}: this is a folder, not a model file")
        if not stat.S_ISREG(mode):  # to open a named pipe would wait for its other end
            raise ModelFileError(f"{path}: this is no ordinary file, so no model file")
        return path.open("rb")
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except ModelFileError:
        raise
    except ValueError as error:  # a name with a zero byte
        raise ModelFileError(f"{str(path)!r}: cannot be read: {error}") from None


def _manifest(file: IO[bytes], path: str | PathLike[str]) -> dict[str, Any]:
    try:
        manifest = parse_json(read_manifest_text(file))
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before its start
            raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
        # An archive can be unusable in many ways: it may be no zip archive, be encrypted, have
        # an unknown compression, or hold something other than JSON.
        manifest = None
    is_whole = isinstance(manifest, dict) and type(manifest.get("format")) is int
    if not (is_whole and all(_is_word(manifest.get(key)) for key in _KEYS)):
        raise ModelFileError(f"{path}: this is not a model written by fastmlp")
    if manifest["format"] not in _READ_FORMATS:
        raise ModelFileError(
            f"{path}: written by fastmlp {manifest['fastmlp']} in another format; "
            f"this is fastmlp {__version__}"
        )
    return {key: manifest[key] for key in ("format", *_KEYS)}


def _is_word(value: Any) -> bool:
    """Tell whether this is text that can be shown: short, and of printable ASCII characters."""
    is_short = isinstance(value, str) and 0 < len(value) <= _LONGEST_WORD
    return is_short and value.isascii() and value.isprintable()


def load_model(path: str | PathLike[str]) -> Any:
    """Read a model that :func:`save_model` wrote.

    Only objects of types on a fixed list are made, each in its place, and no code in the file is
    executed. Their attributes, types and sizes are checked before the model is returned.

    Parameters
    ----------
    path : str or Path
        A file that :func:`save_model` wrote.

    Returns
    -------
    estimator
        A model of the class that was saved, which predicts the same.

    Raises
    ------
    ModelFileError
        When the file is missing or damaged, is not a model file, or holds anything that is no
        part of a model.

    Warns
    -----
    UserWarning
        When another minor version of fastmlp or scikit-learn wrote the file.
    """
    return load(path, "model", _read_model)


def load(path: str | PathLike[str], what: str, read: Callable[[IO[bytes]], Any]) -> Any:
    """Read what a file of this package holds.

    Parameters
    ----------
    path : str or Path
    what : {'model', 'checkpoint'}
        What it should hold, for messages.
    read : callable
        ``read(file)`` returns the object, and raises RefusedError for what it cannot be.

    Returns
    -------
    object

    Raises
    ------
    ModelFileError
        See :func:`load_model`.
    """
    with opened(path) as file:
        manifest = _manifest(file, path)
        for name, version in (("fastmlp", __version__), ("scikit-learn", sklearn.__version__)):
            written_by = manifest[name]
            if written_by.split(".")[:2] != version.split(".")[:2]:
                warn_user(
                    f"{path}: written with {name} {written_by}, read with {version}; check its "
                    "predictions, or train it again"
                )
        is_checkpoint = manifest["holds"] == HOLDS_CHECKPOINT
        if is_checkpoint and what == "model":
            raise ModelFileError(
                f"{path}: this is the checkpoint of a fit, and not a model; fastmlp export, or "
                "fastmlp.Checkpoint(path).model(), makes one of it"
            )
        if what == "checkpoint" and not is_checkpoint:
            raise ModelFileError(f"{path}: this is a model, and not the checkpoint of a fit")
        try:
            found = read(file)
        except UnknownTypeError as error:
            raise ModelFileError(f"{path}: {error}") from None
        except RefusedError as error:
            raise ModelFileError(f"{path}: the {what} file is damaged: {error}") from None
        except Exception as error:
            # Archives and JSON can be damaged in many ways.
            shown = " ".join(str(error).split())[:_LONGEST_WORD]
            raise ModelFileError(
                f"{path}: the {what} file is damaged: {type(error).__name__} {shown}"
            ) from error
    if type(found).__name__ != manifest["holds"]:
        raise ModelFileError(f"{path}: the {what} file is damaged: it holds another {what}")
    return found


def _read_model(file: IO[bytes]) -> Any:
    """Read the model in an archive.

    Raises
    ------
    RefusedError
        When it holds anything but a fitted model whose parts fit each other.
    """
    root = read_root(Archive(file))
    if not isinstance(root, Record) or root.cls not in _MODELS:
        raise RefusedError("it holds none of the models of fastmlp")
    if _MODELS[root.cls] not in root.state:
        raise RefusedError("the model has not been fitted")
    check_contents(root)
    model = made(root)
    check_model(model)
    return model
