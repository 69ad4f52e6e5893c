"""Model files, which are skops archives: loading them never executes code in them."""

import copy
import json
import warnings
import zipfile
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import sklearn
import skops.io

from .. import __version__
from ..exceptions import ModelFileError, warn_user
from .files import written_aside

_MANIFEST = "fastmlp.json"
_FORMAT = 1
# The classes that a file may hold at its top, each with an attribute that only fitted models have.
# They are known by their public paths, so that files stay readable when a module moves.
_MODELS = {
    "fastmlp.MLPClassifier": "coefs_",
    "fastmlp.MLPRegressor": "coefs_",
    "fastmlp.TabularClassifier": "estimator_",
    "fastmlp.TabularPreprocessor": "columns_",
    "fastmlp.TabularRegressor": "estimator_",
}

# All types that a model file may hold in addition to those that skops trusts by itself.
_TRUSTED = (
    *_MODELS,
    "fastmlp.schedules.Adaptive",
    "fastmlp.schedules.Constant",
    "fastmlp.schedules.Cosine",
    "fastmlp.schedules.InverseScaling",
    "fastmlp.schedules.LearningRate",
    "fastmlp.schedules.OneCycle",
    "fastmlp.schedules.Plateau",
    "fastmlp.schedules.Step",
    "fastmlp.OptimizerState",
    "numpy.dtype",
)


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
        When it is not a fitted model, or holds something that :func:`load_model` would refuse.
    OSError
        When the file cannot be written.
    """
    _check_model(model, path)
    manifest = {
        "format": _FORMAT,
        "fastmlp": __version__,
        "scikit-learn": sklearn.__version__,
        "holds": type(model).__name__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_aside(path) as aside:
        if hasattr(model, "set_callbacks"):
            model = copy.copy(model).set_callbacks()  # removes callbacks from the copy
        skops.io.dump(model, aside, compression=zipfile.ZIP_DEFLATED)
        _refuse_untrusted(aside, path)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))


def _check_model(model: Any, path: str | PathLike[str]) -> None:
    """Raise ModelFileError unless this is a fitted model of fastmlp."""
    cls = type(model)
    fitted = _MODELS.get(f"{cls.__module__}.{cls.__qualname__}")
    if fitted is None:
        raise ModelFileError(
            f"{path}: a {cls.__module__}.{cls.__qualname__} is none of the models of fastmlp"
        )
    if not hasattr(model, fitted):
        raise ModelFileError(f"{path}: the {cls.__name__} has not been fitted")


def _refuse_untrusted(file: Path, path: str | PathLike[str]) -> None:
    """Raise ModelFileError for a file with types that are not trusted; it is called `path`."""
    unknown = sorted(set(skops.io.get_untrusted_types(file=file)) - set(_TRUSTED))
    if unknown:
        raise ModelFileError(
            f"{path}: it holds objects of type {unknown[0]}, which are not loaded for safety; "
            "functions as parameters (loss, scoring) can be set to others before saving"
        )


def read_manifest(path: str | PathLike[str]) -> dict[str, Any]:
    """Read what a model file says about itself, without loading the model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Has the keys 'format' (its version), 'fastmlp' and 'scikit-learn' (the versions that
        wrote the file), 'holds' (the name of the class) and 'created' (date and time).

    Raises
    ------
    ModelFileError
        When the file is missing or is not a model file.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path}: this is a folder, not a model file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception:
        # An archive can be unusable in many ways: it may be no zip archive, be encrypted, have
        # an unknown compression, or hold something other than JSON.
        manifest = None
    keys = ("format", "fastmlp", "scikit-learn", "holds", "created")
    if not isinstance(manifest, dict) or any(key not in manifest for key in keys):
        raise ModelFileError(f"{path}: this is not a model written by fastmlp")
    if manifest["format"] != _FORMAT:
        raise ModelFileError(
            f"{path}: written by fastmlp {manifest['fastmlp']} in another format; "
            f"this is fastmlp {__version__}"
        )
    return manifest


def load_model(path: str | PathLike[str]) -> Any:
    """Read a model that :func:`save_model` wrote.

    Only objects of types on a fixed list are made, and no code in the file is executed.

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
        When the file is missing or damaged, is not a model file, or holds other types.

    Warns
    -----
    UserWarning
        When another minor version of fastmlp or scikit-learn wrote the file.
    """
    manifest = read_manifest(path)
    for name, version in (("fastmlp", __version__), ("scikit-learn", sklearn.__version__)):
        written_by = str(manifest.get(name))
        if written_by.split(".")[:2] != version.split(".")[:2]:
            warn_user(
                f"{path}: written with {name} {written_by}, read with {version}; check its "
                "predictions, or train it again"
            )
    try:
        _refuse_untrusted(Path(path), path)
        with warnings.catch_warnings():
            # The warning above has told of another version already.
            warnings.filterwarnings("ignore", "this MLP.* was saved by fastmlp")
            model = skops.io.load(path, trusted=list(_TRUSTED))
        _check_model(model, path)
        return model
    except ModelFileError:
        raise
    except Exception as error:
        # skops raises errors of many kinds for a damaged archive.
        raise ModelFileError(
            f"{path}: the model file is damaged: {type(error).__name__} {error}"
        ) from error
