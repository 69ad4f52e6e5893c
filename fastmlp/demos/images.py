"""Digits: what a small network confuses, and what its hidden units look for."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from ..estimators.classifier import MLPClassifier
from ..exceptions import InputError
from .result import Result, fit_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    # Images and their labels.
    Part = tuple[NDArray[Any], NDArray[Any]]

# Names that arrays of images and labels have in the files that go around.
_ARRAYS = (("x_train", "y_train"), ("X_train", "y_train"), ("X", "y"), ("x", "y"),
           ("data", "target"), ("images", "labels"))  # fmt: skip
_TEST_ARRAYS = {"x_train": ("x_test", "y_test"), "X_train": ("X_test", "y_test")}
_LABELS = ("label", "class", "target", "digit", "y")
# Steps of training, whatever the number of rows; and the bounds of the epochs they make.
_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 3000, 10, 200
_SHOWN_UNITS = 25


def digits(seed: int = 0, data: str | os.PathLike[str] | None = None, hidden: int = 50) -> Result:
    """Train a network of one hidden layer on images of digits.

    Parameters
    ----------
    seed : int, default=0
    data : str or Path, optional
        A file of images: an ``.npz`` archive with arrays ``x_train`` and ``y_train`` (and
        ``x_test`` and ``y_test`` if it has a test part), or a CSV file with one image a row and
        its label in a column named label, class, target, digit or y, else in the first. Without
        it, scikit-learn's 1797 digits of 8 x 8 pixels.
    hidden : int, default=50
        Hidden units.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        When the file cannot be used.
    """
    if data is None:
        X, y = load_digits(return_X_y=True)
        test, shape, name = None, (8, 8), "scikit-learn's digits"
    else:
        (X, y), test, shape = load_images(data)
        name = Path(data).name
    if test is None:
        X, X_test, y, y_test = _split(X, y, seed)
    else:
        X_test, y_test = test
    brightest = float(np.abs(X).max()) or 1.0
    X, X_test = (np.asarray(part / brightest, dtype=np.float32) for part in (X, X_test))
    epochs = int(np.clip(_STEPS * 200 / len(X), _FEWEST_EPOCHS, _MOST_EPOCHS))
    models = fit_all(
        [
            MLPClassifier(
                units, max_iter=epochs, learning_rate_init=0.002, random_state=seed, diagnose=False
            )
            for units in ((), (hidden,))
        ],
        X, y,
    )  # fmt: skip
    network = models[1]
    sizes = f"{X.shape[1]}-{hidden}-{len(network.classes_)}"
    rows = [
        (label, float(model.score(X, y)), float(model.score(X_test, y_test)), model.n_iter_)
        for label, model in zip(("linear", sizes), models, strict=True)
    ]
    findings = [
        f"{name}: {len(X)} images for training, {len(X_test)} for the test. The network {sizes} "
        f"gets {rows[1][2]:.1%} of the test right, a linear model {rows[0][2]:.1%}.",
        _worst(network, X_test, y_test),
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        widths = (1, 1.25, 1.25)
        ((left, middle, right),) = figure.subfigures(1, 3, squeeze=False, width_ratios=widths)
        ax = plotting.learning_curve(network, left.subplots())
        ax.set_title(f"training of {sizes}")
        ax = plotting.confusion_matrix(network, X_test, y_test, middle.subplots())
        ax.set_title(f"test: {rows[1][2]:.1%} right")
        side = math.ceil(math.sqrt(min(hidden, _SHOWN_UNITS)))
        plotting.first_layer_weights(network, shape, right.subplots(side, side, squeeze=False))
        right.suptitle(f"weights into {min(hidden, side * side)} of {hidden} hidden units")

    return Result(
        "digits", "Digits", ("network", "training accuracy", "test accuracy", "epochs"), rows,
        findings,
        "Each hidden unit adds up the image through a mask of its own (red: for, blue: "
        "against); the output layer weighs how well the masks fit.",
        (16, 4.8), draw,
    )  # fmt: skip


def load_images(path: str | os.PathLike[str]) -> tuple[Part, Part | None, tuple[int, int]]:
    """Read images and labels from a file.

    Parameters
    ----------
    path : str or Path
        Either an ``.npz`` archive with arrays ``x_train`` and ``y_train`` (with ``x_test`` and
        ``y_test`` for the test), or ``X`` and ``y``, ``data`` and ``target``, ``images`` and
        ``labels``; images are of shape (n, rows, columns) or (n, pixels). Or a CSV file with
        one image a row, whose labels are in the column named label, class, target, digit or
        y, else, and without a header line, in the first.

    Returns
    -------
    train : tuple of ndarray
        Images of shape (n, pixels) and labels of shape (n,).
    test : tuple of ndarray or None
        None when the file has no test part.
    image_shape : tuple of int
        (rows, columns)

    Raises
    ------
    InputError
        When there is no such file, or no such arrays in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    read = _read_archive if path.suffix.lower() == ".npz" else _read_csv
    (X, y), test = read(path)
    X, shape = _flat(path, X)
    if test is not None:
        test = (_flat(path, test[0])[0], test[1])
        if test[0].shape[1] != X.shape[1]:
            raise InputError(f"{path}: images of training and test differ in size")
    for images, labels in filter(None, [(X, y), test]):
        if labels.shape != (len(images),):
            raise InputError(
                f"{path}: {len(images)} images, but labels of shape {labels.shape}; one for "
                "each image is needed"
            )
        if not np.isfinite(images).all():
            raise InputError(f"{path}: there are pixels that are no finite numbers")
    if len(np.unique(y)) < 2:
        raise InputError(f"{path}: labels of at least two classes are needed")
    return (X, y), test, shape


def _read_archive(path: Path) -> tuple[Part, Part | None]:
    try:
        # Pickled objects could execute code.
        with np.load(path, allow_pickle=False) as archive:
            for images, labels in _ARRAYS:
                if images in archive and labels in archive:
                    names = _TEST_ARRAYS.get(images, ())
                    test = tuple(archive[n] for n in names) if names and all(
                        n in archive for n in names) else None  # fmt: skip
                    return (archive[images], archive[labels]), test
            pairs = ", ".join(f"{a} and {b}" for a, b in _ARRAYS)
            raise InputError(
                f"{path}: the arrays are {', '.join(archive.files)}; needed are images and "
                f"labels named {pairs}"
            )
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as an archive of arrays: {error}") from None


def _read_csv(path: Path) -> tuple[Part, Part | None]:
    import pandas as pd

    from ..tabular.csv import read_table

    with path.open(errors="replace") as file:
        fields = file.readline().strip().split(",")
    if all(field.strip().strip('"').replace(".", "", 1).isdigit() for field in fields):
        try:
            frame = pd.read_csv(path, header=None)
        except ValueError as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        label = frame.columns[0]
    else:
        frame = read_table(path)
        named = [c for c in frame.columns if str(c).lower() in _LABELS]
        label = named[0] if named else frame.columns[0]
    pixels = frame.drop(columns=label)
    try:
        X = pixels.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"{path}: besides the column of labels, {label!r}, all must be numbers"
        ) from None
    if frame[label].isna().any():
        raise InputError(f"{path}: there are rows without a label in column {label!r}")
    return (X, frame[label].to_numpy()), None


def _flat(path: Path, X: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return images as rows of pixels, and their shape."""
    if X.dtype.kind not in "buif":
        raise InputError(f"{path}: images must be numbers, got {X.dtype}")
    if X.ndim == 4 and X.shape[3] == 1:
        X = X[..., 0]
    if X.ndim not in (2, 3) or 0 in X.shape:
        raise InputError(
            f"{path}: images must be of shape (n, rows, columns) or (n, pixels), got {X.shape}"
        )
    shape = X.shape[1:]
    if X.ndim == 2:
        side = math.isqrt(X.shape[1])
        if side * side != X.shape[1]:
            raise InputError(f"{path}: {X.shape[1]} pixels are no square image")
        shape = (side, side)
    return X.reshape(len(X), -1), shape


def _split(X: NDArray[Any], y: NDArray[Any], seed: int) -> list[NDArray[Any]]:
    """Take a fifth of the images for the test, of each class alike where there are enough."""
    counts = np.unique(y, return_counts=True)[1]
    enough = counts.min() >= 2 and len(y) >= 5 * len(counts)
    parts: list[NDArray[Any]] = train_test_split(
        X, y, test_size=0.2, random_state=seed, stratify=y if enough else None
    )
    return parts


def _worst(model: MLPClassifier, X: NDArray[Any], y: NDArray[Any]) -> str:
    """Put the most frequent error into words."""
    labels = model.classes_
    counts = confusion_matrix(y, model.predict(X), labels=labels)
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return "It makes no error there."
    true, predicted = np.unravel_index(counts.argmax(), counts.shape)
    return (
        f"Its most frequent error: {labels[true]} taken for {labels[predicted]}, "
        f"{counts[true, predicted]} of {np.sum(y == labels[true])} times."
    )
