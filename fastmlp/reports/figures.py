"""The figures of a report, drawn with matplotlib in colours that stand for those of the page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InputError
from .blocks import Picture
from .svg import GRID, INK, PAPER, SERIES, Names
from .texts import number

LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
_WIDTH, _HEIGHT = 4.2, 3.0
_ROOM_FOR_LABELS = 22  # characters


def require_matplotlib() -> None:
    """Refuse a report without matplotlib.

    Raises
    ------
    InputError
        When it is missing; the message says how to install it.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "a report needs the package matplotlib: pip install 'fastmlp[report]'"
        ) from None


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw in the block as matplotlib does by itself, whatever style its user has chosen."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["axes.prop_cycle"] = f"cycler(color={list(SERIES)})"
        yield


class Drawing:
    """A figure with one pair of axes.

    Parameters
    ----------
    width, height : float
        In inches; the page makes them wider.
    """

    def __init__(self, width: float = _WIDTH, height: float = _HEIGHT) -> None:
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        self.names = Names()
        self.figure = Figure(figsize=(width, height), layout="constrained")
        self.ax = self.figure.subplots()
        self.ax.spines[["top", "right"]].set_visible(False)
        self.ax.grid(color=GRID, linewidth=0.7)
        self.ax.set_axisbelow(True)
        for axis in (self.ax.xaxis, self.ax.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.set_major_formatter(FuncFormatter(lambda value, place: number(round(value, 12))))

    def line(self, x: Any, y: Any, series: int, label: str = "", **style: Any) -> None:
        """Draw a line of a series, which has a colour and dashes of its own."""
        options = {
            "color": SERIES[series % len(SERIES)],
            "linestyle": LINE_STYLES[series % len(LINE_STYLES)],
            "linewidth": 1.8,
            **style,
        }
        self.ax.plot(x, y, label=label or "_", **options)

    def diagonal(self, low: float, high: float, label: str) -> None:
        """Draw the line where both axes have the same value."""
        self.ax.plot([low, high], [low, high], color=INK, linewidth=0.9, linestyle=":", label=label)

    def legend(self, place: Any) -> None:
        """Name the series in a corner of the axes, such as 'lower left', or 'above' them."""
        if place == "above":
            self.ax.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9, frameon=False,
                columnspacing=1.2,
            )  # fmt: skip
        else:
            self.ax.legend(loc=place, fontsize=9, facecolor=PAPER, edgecolor=GRID)

    def whole_numbers(self, axis: Any) -> None:
        """Let an axis have marks at whole numbers only."""
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(5, integer=True))

    def picture(self, title: str, text: str, describe: str) -> Picture:
        """Return the figure as a part of a report."""
        return Picture(title, text, describe, self.figure, self.names)


def shares_on(axis: Any) -> None:
    """Write the numbers of an axis as percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=" %"))


def thinned(x: NDArray[Any], y: NDArray[Any], most: int = 250) -> tuple[Any, Any]:
    """Return some points of a long curve, the ends among them."""
    places = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).round().astype(int))
    return x[places], y[places]


def bars_with_errors(
    labels: Sequence[str],
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    x_label: str,
) -> Drawing:
    """Draw horizontal bars with whiskers, the first one on top."""
    drawing = bars(labels, means, x_label)
    drawing.ax.errorbar(
        means, np.arange(len(labels)), xerr=deviations, fmt="none", ecolor=INK, elinewidth=1,
        capsize=2.5,
    )  # fmt: skip
    return drawing


def bars(labels: Sequence[str], lengths: NDArray[np.float64], x_label: str) -> Drawing:
    """Draw horizontal bars, the first one on top."""
    drawing = Drawing(height=0.75 + 0.26 * len(labels))
    drawing.ax.barh(np.arange(len(labels)), lengths, color=SERIES[0], height=0.62)
    _name_places(drawing, labels)
    drawing.ax.set_xlabel(x_label)
    return drawing


def _name_places(drawing: Drawing, labels: Sequence[str]) -> None:
    """Name places on the vertical axis, the first one on top."""
    words = [drawing.names.word(label, _ROOM_FOR_LABELS) for label in labels]
    drawing.ax.set_yticks(np.arange(len(labels)), words)
    drawing.ax.set_ylim(len(labels) - 0.4, -0.6)
    drawing.ax.grid(visible=False, axis="y")
    # Long names leave little room for the numbers below.
    drawing.ax.locator_params(axis="x", nbins=5 if max(map(len, words), default=0) < 12 else 3)


def dots_of_levels(
    labels: Sequence[str], lines: NDArray[np.float64], x_label: str, of_lines: Sequence[str]
) -> Drawing:
    """Draw a dot for each level of each line, the levels below each other."""
    drawing = Drawing(height=max(1.9, 0.8 + 0.24 * len(labels) + 0.2 * (len(of_lines) > 1)))
    places = np.arange(len(labels), dtype=float)
    for series, values in enumerate(lines):
        drawing.ax.plot(
            values, places, MARKERS[series % len(MARKERS)], color=SERIES[series % len(SERIES)],
            markersize=6, label=_label(drawing, of_lines, series),
        )  # fmt: skip
    _name_places(drawing, labels)
    drawing.ax.set_xlabel(x_label)
    if len(of_lines) > 1:
        drawing.legend("above")
    return drawing


def curves_of_values(
    places: NDArray[np.float64],
    lines: NDArray[np.float64],
    y_label: str,
    of_lines: Sequence[str],
    is_date: bool,
) -> Drawing:
    """Draw lines over the values of a column."""
    drawing = Drawing(height=2.6)
    for series, values in enumerate(lines):
        drawing.line(places, values, series, _label(drawing, of_lines, series))
    low, high = drawing.ax.get_ylim()
    drawing.ax.plot(places, np.full(len(places), low), "|", color=INK, markersize=7, clip_on=False)
    drawing.ax.set_ylim(low, high)
    if is_date:
        _name_dates(drawing, places)
    drawing.ax.set_ylabel(y_label)
    if len(of_lines) > 1:
        drawing.legend("above")
    return drawing


def _label(drawing: Drawing, of_lines: Sequence[str], series: int) -> str:
    return drawing.names.word(of_lines[series], 18) if len(of_lines) > 1 else "_"


def _name_dates(drawing: Drawing, places: NDArray[np.float64]) -> None:
    """Write seconds as dates, or as times where all of them are within a day."""
    form = "%H:%M" if np.abs(places).max() <= 86_400 else "%Y-%m-%d"
    ticks = np.linspace(places.min(), places.max(), 3)
    texts = [_moment(tick).strftime(form) for tick in ticks]
    drawing.ax.set_xticks(ticks, texts)
    first, _, last = drawing.ax.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _moment(seconds: float) -> datetime:
    """Return a date; those that Python's calendar does not have become its first or last one."""
    first, last = -62_135_596_800, 253_402_300_799
    return datetime.fromtimestamp(float(np.clip(seconds, first, last)), UTC)
