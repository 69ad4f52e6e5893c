"""The data of the playground: points of a plane or a line, made, painted or read from a table."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import numpy as np
from sklearn.datasets import make_moons

from ..demos.curves import bump
from ..demos.plane import circle_points, spiral_points
from ..exceptions import InputError

MOST_POINTS = 1000
# The plane that the page shows: from minus this number to this number in both directions.
RADIUS = 2.5
_MOST_CLASSES = 8
# The demos' points lie within 5.
_TO_PLANE = 0.4

# A feature is a function of the two coordinates.
FEATURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "x1": lambda x1, x2: x1,
    "x2": lambda x1, x2: x2,
    "x1^2": lambda x1, x2: x1**2,
    "x2^2": lambda x1, x2: x2**2,
    "x1*x2": lambda x1, x2: x1 * x2,
    "sin(x1)": lambda x1, x2: np.sin(np.pi * x1 / RADIUS),
    "sin(x2)": lambda x1, x2: np.sin(np.pi * x2 / RADIUS),
}


class Split(NamedTuple):
    """Inputs and targets, of training and of test."""

    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Points:
    """Points that a network learns from.

    Attributes
    ----------
    places : ndarray of shape (n_points, 2)
        The second coordinate is 0 for data on a line.
    y : ndarray of shape (n_points,)
        Classes from 0, or numbers.
    classes : list of str
        Names of the classes; empty for a regression.
    is_line : bool
        Whether the points lie on a line, so that only the first coordinate is an input.
    axes : tuple of two str
        What the coordinates are.
    notes : list of str
        What the user should know of how they were made.
    """

    places: np.ndarray
    y: np.ndarray
    classes: list[str]
    is_line: bool = False
    axes: tuple[str, str] = ("x1", "x2")
    notes: list[str] = field(default_factory=list)


# ---- points that are made ----------------------------------------------------------------


def _circle(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X, y = circle_points(n // 2, rng)
    return _TO_PLANE * X + noise * rng.normal(size=X.shape), y


def _spiral(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X, y = spiral_points(n // 2, rng, noise / _TO_PLANE)
    return _TO_PLANE * X, y


def _xor(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    places = 1.2 * corners[np.arange(n) % 4] + (0.2 + noise) * rng.normal(size=(n, 2))
    return places, np.arange(n) % 2


def _gaussians(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % 2
    return (2 * y[:, None] - 1) + (0.3 + noise) * rng.normal(size=(n, 2)), y


def _moons(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X, y = make_moons(n, noise=noise, random_state=int(rng.integers(2**31)))
    return 1.2 * (X - [0.5, 0.25]), y


def _checkerboard(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.uniform(-2, 2, size=(n, 2))
    y = (np.floor(X[:, 0]) + np.floor(X[:, 1])).astype(int) % 2
    return X + noise * rng.normal(size=X.shape), y


def _bump(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0, 1, n)
    y = 2 * bump(x) - 1 + noise * rng.normal(size=n)
    return np.column_stack([4 * x - 2, np.zeros(n)]), y


def _wave(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.uniform(-2, 2, n)
    return np.column_stack([x, np.zeros(n)]), np.sin(3 * x) + noise * rng.normal(size=n)


def _hills(n: int, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.uniform(-2, 2, size=(n, 2))
    y = np.exp(-((X - 0.8) ** 2).sum(axis=1)) - np.exp(-((X + 0.8) ** 2).sum(axis=1))
    return X, y + noise * rng.normal(size=n)


class Kind(NamedTuple):
    """A kind of data: its name on the page, how it is made, and what its targets are."""

    label: str
    make: Callable[[int, float, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    is_regression: bool = False
    is_line: bool = False


KINDS = {
    "circle": Kind("Circle", _circle),
    "xor": Kind("Exclusive or", _xor),
    "gaussians": Kind("Gaus\u00adsians", _gaussians),
    "spiral": Kind("Spiral", _spiral),
    "moons": Kind("Moons", _moons),
    "checkerboard": Kind("Checker\u00adboard", _checkerboard),
    "bump": Kind("Bump, 1D", _bump, True, True),
    "wave": Kind("Wave, 1D", _wave, True, True),
    "hills": Kind("Hills, 2D", _hills, True),
}


def made_points(
    kind: str, n_points: int, noise: float, seed: int, painted: Sequence[Sequence[float]] = ()
) -> Points:
    """Make the points of one of :data:`KINDS`, and add painted ones.

    Parameters
    ----------
    kind : str
        A name in ``KINDS``, or 'painted' for the painted points alone.
    n_points : int
    noise : float
        Standard deviation of what is added to the places, or to the targets of a regression.
    seed : int
    painted : sequence of (x1, x2, y)
        Further points. On a line x2 does not matter.

    Returns
    -------
    Points

    Raises
    ------
    InputError
        When painted points are of another class than 0 and 1, or are all there is and of one.
    """
    extra = np.array(painted, float).reshape(-1, 3)
    is_regression = kind != "painted" and KINDS[kind].is_regression
    if not is_regression and not np.isin(extra[:, 2], [0, 1]).all():
        raise InputError("painted points of a classification are of class 0 or 1")
    if kind == "painted":
        classes = np.unique(extra[:, 2])
        if len(classes) < 2:
            raise InputError("paint points of two classes, or choose another kind of data")
        return Points(extra[:, :2], extra[:, 2].astype(int), ["0", "1"])
    made = KINDS[kind]
    places, y = made.make(n_points, noise, np.random.default_rng(seed))
    if len(extra):
        new = extra[:, :2] * ([1, 0] if made.is_line else 1)
        places = np.concatenate([places, new])
        y = np.concatenate([y, extra[:, 2] if made.is_regression else extra[:, 2].astype(int)])
    if made.is_regression:
        return Points(places, y, [], made.is_line, ("x1", "y" if made.is_line else "x2"))
    return Points(places, y, ["0", "1"])


# ---- points of a table -------------------------------------------------------------------


def table_points(table: Any, target: str, axes: Sequence[str] = (), seed: int = 0) -> Points:
    """Make points of a table: two of its columns, or its first two principal components.

    Parameters
    ----------
    table : str, Path, file-like object or pandas.DataFrame
        A CSV file, or the table that :func:`fastmlp.tabular.csv.read_table` has made of it.
    target : str
        The column that is predicted. Text, truth values and few different whole numbers are
        classes.
    axes : sequence of two str, optional
        The columns of the plane; without them it has the principal components of all columns of
        numbers.
    seed : int
        It decides which rows are used where the table has more than 1000.

    Returns
    -------
    Points
        Both coordinates have the mean 0 and the standard deviation 1, and so has a target that is
        a number.

    Raises
    ------
    InputError
        When a column is not there, is no number, or has too many classes.
    """
    frame = table if hasattr(table, "columns") else read_csv(table)
    notes = []
    for name in (target, *axes):
        if name not in frame.columns:
            raise InputError(f"the table has no column {name!r}; choose another one")
    numbers = [name for name in number_columns(frame) if name != target]
    names = list(axes) or numbers
    for name in names:
        if name not in numbers:
            raise InputError(f"column {name!r} is not one of numbers; choose another axis")
    if len(names) < 2:
        raise InputError("two columns of numbers beside the target are needed")
    whole = frame[[*dict.fromkeys(names), target]].dropna()
    if len(whole) < len(frame):
        n_left = len(frame) - len(whole)
        notes.append(
            "1 row with missing values is left out."
            if n_left == 1
            else f"{n_left} rows with missing values are left out."
        )
    if len(whole) > MOST_POINTS:
        notes.append(f"{MOST_POINTS} of {len(whole)} rows are used.")
        chosen = np.random.default_rng(seed).permutation(len(whole))[:MOST_POINTS]
        whole = whole.iloc[np.sort(chosen)]
    if len(whole) < 4:
        raise InputError("at least four rows without missing values are needed")
    places = np.column_stack([whole[name].to_numpy(float) for name in names])
    constant = [repr(name) for name, values in zip(names, places.T, strict=True)
                if values.min() == values.max()]  # fmt: skip
    if constant:
        notes.append(f"The same number in every row, which tells nothing: {', '.join(constant)}.")
    places = _standardised(places)
    shown = (str(names[0]), str(names[1]))
    if not axes:
        _, _, directions = np.linalg.svd(places, full_matrices=False)
        # The signs of the components are free; this makes them the same everywhere.
        largest = np.abs(directions).argmax(axis=1)
        directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
        places = _standardised(places @ directions[:2].T)
        shown = ("component 1", "component 2")
    y, classes = _targets(whole[target], target)
    return Points(places, y, classes, axes=shown, notes=notes)


def read_csv(table: str | os.PathLike[str] | IO[Any]) -> Any:
    """Read a CSV file, of which each row has the same number of fields."""
    from ..tabular.csv import read_table

    return read_table(table)


def number_columns(frame: Any) -> list[str]:
    """Return the names of the columns of a table that hold finite numbers."""
    found = []
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "iuf" and np.isfinite(values.dropna().to_numpy(float)).all():
            found.append(name)
    return found


def _standardised(values: np.ndarray) -> np.ndarray:
    # Powers of two scale without rounding, so that squares of large numbers do not overflow.
    _, exponents = np.frexp(np.abs(values).max(axis=0))
    values = np.ldexp(values, -exponents)
    deviation = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def _targets(column: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """Return classes from 0 with their names, or standardised numbers without."""
    different, y = np.unique(column.astype(str), return_inverse=True)
    if column.dtype.kind in "iuf":
        numbers = column.to_numpy(float)
        levels = np.unique(numbers)
        if len(levels) > _MOST_CLASSES or not np.isin(levels, np.round(levels)).all():
            if not np.isfinite(numbers).all():
                raise InputError(f"column {name!r} holds infinite numbers; choose another target")
            if len(levels) == 1:
                raise InputError(
                    f"column {name!r} has the same number in every row; choose another target"
                )
            return _standardised(numbers[:, None])[:, 0], []
    if not 2 <= len(different) <= _MOST_CLASSES:
        raise InputError(
            f"column {name!r} has {len(different)} class{'es' * (len(different) != 1)}; choose a "
            f"target with 2 to {_MOST_CLASSES} classes, or one of numbers"
        )
    return y, different.tolist()


# ---- inputs of a network -----------------------------------------------------------------


def inputs_at(places: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """Compute the inputs of a network at some places.

    Parameters
    ----------
    places : ndarray of shape (n_points, 2)
    features : sequence of str
        Names in :data:`FEATURES`.

    Returns
    -------
    ndarray of shape (n_points, n_features)
    """
    return np.column_stack([FEATURES[name](places[:, 0], places[:, 1]) for name in features])


def is_held_out(n_points: int, test_share: float, seed: int) -> np.ndarray:
    """Choose the points of the test, as an array of bool; training keeps at least two."""
    n_test = min(round(n_points * test_share), n_points - 2)
    chosen = np.zeros(n_points, bool)
    chosen[np.random.default_rng(seed).permutation(n_points)[:n_test]] = True
    return chosen


def split(points: Points, features: Sequence[str], test_share: float, seed: int) -> Split:
    """Divide points into those of training and those of the test.

    Parameters
    ----------
    points : Points
    features : sequence of str
        The inputs of the network.
    test_share : float
    seed : int

    Returns
    -------
    Split
    """
    X, held = inputs_at(points.places, features), is_held_out(len(points.y), test_share, seed)
    return Split(X[~held], X[held], points.y[~held], points.y[held])
