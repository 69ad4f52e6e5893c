"""Figures, axes and files of pictures, and the colours of all of them."""

from __future__ import annotations

import importlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import InputError
from ..export.files import check_output, written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# The palette of Okabe and Ito (2008), its grey and yellow left out.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", "-.", ":")


def new_figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """Make an empty figure apart from pyplot, for files; no window opens.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_picture(path: str | os.PathLike[str]) -> str:
    """Refuse a picture that could not be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        Its format, such as 'png'.

    Raises
    ------
    InputError
        When matplotlib is missing, it writes no files of this ending, the path is a folder, or
        its folder is missing or cannot be written to.
    """
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in known:
        raise InputError(f"{path}: pictures end in one of .{', .'.join(sorted(known))}")
    check_output(path)
    return ending


def save(figure: Figure | Axes, path: str | os.PathLike[str], *, dpi: float = 150) -> None:
    """Write a figure to a file that appears whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or matplotlib.axes.Axes
        For axes, the figure that they are in.
    path : str or Path
        Its ending says the format: ``.png``, ``.pdf``, ``.svg`` and others of matplotlib.
    dpi : float, default=150
        Pixels an inch.

    Raises
    ------
    InputError
        See :func:`check_picture`.
    """
    picture_format = check_picture(path)
    whole: Any = figure.get_figure() or figure
    with written_aside(path) as aside:
        whole.savefig(aside, format=picture_format, dpi=dpi)


def require_matplotlib() -> None:
    """Refuse to draw without matplotlib.

    Raises
    ------
    InputError
        When matplotlib is missing; the message says how to install it.
    """
    try:
        importlib.import_module("matplotlib")
    except ModuleNotFoundError:
        raise InputError(
            "pictures need the package matplotlib: pip install 'fastmlp[plot]'"
        ) from None


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the axes, or those of a new figure of pyplot."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def grid_of_axes(n: int) -> NDArray[Any]:
    """Make at least `n` axes in a figure of pyplot."""
    from matplotlib import pyplot

    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = (1.1 * columns + 1, 1.1 * rows)
    return pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1]
