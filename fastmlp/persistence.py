"""Model files: skops archives, which never execute code when they are loaded."""

import json
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import sklearn
import skops.io

from . import __version__
from .errors import InputError
from .files import written_aside

_MANIFEST = "fastmlp.json"

# Everything that a model file may hold beside what skops trusts by itself.
_TRUSTED = (
    "fastmlp.estimators.MLPClassifier",
    "fastmlp.estimators.MLPRegressor",
    "fastmlp.schedules.Adaptive",
    "fastmlp.schedules.Constant",
    "fastmlp.schedules.InverseScaling",
    "fastmlp.tabular.TabularModel",
    "fastmlp.training.OptimizerState",
    "numpy.dtype",
)


class ModelFileError(InputError):
    """A file that holds no model that could be loaded."""


def save_model(model, path):
    """Write a fitted model to a file.

    The file is written aside and renamed, so that a failure leaves an older file as it was.

    Parameters
    ----------
    model : TabularModel, MLPClassifier or MLPRegressor
    path : str or Path

    Raises
    ------
    ModelFileError
        When the model holds something that :func:`load_model` would refuse.
    OSError
        When the file cannot be written.
    """
    manifest = {
        "format": 1,
        "fastmlp": __version__,
        "scikit-learn": sklearn.__version__,
        "holds": type(model).__name__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_aside(path) as aside:
        skops.io.dump(model, aside, compression=zipfile.ZIP_DEFLATED)
        _refuse_untrusted(aside, path)
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))


def _refuse_untrusted(file, path):
    unknown = sorted(set(skops.io.get_untrusted_types(file=file)) - set(_TRUSTED))
    if unknown:
        raise ModelFileError(
            f"{path}: it holds objects of type {unknown[0]}, which are not loaded for safety"
        )


def read_manifest(path):
    """What a model file says about itself, without loading the model.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict
        Keys 'fastmlp', 'scikit-learn' (versions), 'holds' (the class) and 'created'.

    Raises
    ------
    ModelFileError
        When the file is missing or is no model file.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_MANIFEST))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path}: this is a folder, not a model file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
        raise ModelFileError(f"{path}: this is not a model written by fastmlp") from None


def load_model(path):
    """Read a model that :func:`save_model` wrote.

    Only types on a fixed list are built, and no code in the file is executed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TabularModel, MLPClassifier or MLPRegressor

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
        return skops.io.load(path, trusted=list(_TRUSTED))
    except ModelFileError:
        raise
    except Exception as error:
        # Whatever skops makes of a damaged archive, the file is what is wrong.
        raise ModelFileError(f"{path}: the model file is damaged: {error}") from error
