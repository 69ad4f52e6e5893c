"""Model files: skops archives, which never execute code when they are loaded."""

import copy
import json
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import sklearn
import skops.io

from .. import __version__
from ..exceptions import ModelFileError
from .files import written_aside

_MANIFEST = "fastmlp.json"
_FORMAT = 1
_MODELS = {
    # What a file may hold at its top, by its public path, so that moving a module breaks no
    # file; and an attribute that only fitted ones have.
    "fastmlp.MLPClassifier": "coefs_",
    "fastmlp.MLPRegressor": "coefs_",
    "fastmlp.TabularClassifier": "estimator_",
    "fastmlp.TabularPreprocessor": "columns_",
    "fastmlp.TabularRegressor": "estimator_",
}

# Everything that a model file may hold beside what skops trusts by itself.
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


def save_model(model, path):
    """Write a fitted model to a file.

    The file is written aside and renamed, so that a failure leaves an older file as it was.

    Parameters
    ----------
    model : estimator
        One of MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor and
        TabularPreprocessor.
    path : str or Path

    Raises
    ------
    ModelFileError
        When it is no fitted model, or holds something that :func:`load_model` would refuse.
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
            model = copy.copy(model).set_callbacks()  # they are not part of a model
        skops.io.dump(model, aside, compression=zipfile.ZIP_DEFLATED)
        _refuse_untrusted(aside, path)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))


def _check_model(model, path):
    cls = type(model)
    fitted = _MODELS.get(f"{cls.__module__}.{cls.__qualname__}")
    if fitted is None:
        raise ModelFileError(
            f"{path}: a {cls.__module__}.{cls.__qualname__} is none of the models of fastmlp"
        )
    if not hasattr(model, fitted):
        raise ModelFileError(f"{path}: the {cls.__name__} has not been fitted")


def _refuse_untrusted(file, path):
    unknown = sorted(set(skops.io.get_untrusted_types(file=file)) - set(_TRUSTED))
    if unknown:
        raise ModelFileError(
            f"{path}: it holds objects of type {unknown[0]}, which are not loaded for safety; "
            "functions as parameters (loss, scoring) can be set to others before saving"
        )


def read_manifest(path):
    """What a model file says about itself, without loading the model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Keys 'format', 'fastmlp' and 'scikit-learn' (versions), 'holds' (the class) and
        'created'.

    Raises
    ------
    ModelFileError
        When the file is missing or is no model file.
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
        # Archives break in many ways (no zip, encrypted, another compression, no JSON).
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


def load_model(path):
    """Read a model that :func:`save_model` wrote.

    Only types on a fixed list are built, and no code in the file is executed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    estimator
        Of the class that was saved, with equal predictions.

    Raises
    ------
    ModelFileError
        When the file is missing, damaged, no model file, or holds other types.

    Warns
    -----
    UserWarning
        When another minor version of fastmlp or scikit-learn wrote the file.
    """
    manifest = read_manifest(path)
    for name, version in (("fastmlp", __version__), ("scikit-learn", sklearn.__version__)):
        written_by = str(manifest.get(name))
        if written_by.split(".")[:2] != version.split(".")[:2]:
            warnings.warn(
                f"{path}: written with {name} {written_by}, read with {version}; check its "
                "predictions, or train it again",
                stacklevel=2,
            )
    try:
        _refuse_untrusted(Path(path), path)
        with warnings.catch_warnings():
            # Of another version the manifest has told already.
            warnings.filterwarnings("ignore", "this MLP.* was saved by fastmlp")
            model = skops.io.load(path, trusted=list(_TRUSTED))
        _check_model(model, path)
        return model
    except ModelFileError:
        raise
    except Exception as error:
        # Whatever skops makes of a damaged archive, the file is what is wrong.
        raise ModelFileError(
            f"{path}: the model file is damaged: {type(error).__name__} {error}"
        ) from error
