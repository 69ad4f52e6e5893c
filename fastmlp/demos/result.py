"""What a demo returns, and how demos fit networks."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning

from ..estimators.fit_many import fit_many

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Result:
    """What came out of a demo.

    Parameters
    ----------
    name : str
        As on the command line.
    title : str
    columns : tuple of str
        Header of the table.
    rows : list of tuple
        Its rows: text and plain numbers.
    findings : list of str
        Sentences with the numbers that matter.
    lesson : str
        What is to be learned from it.
    size : tuple of float
        Width and height of the picture in inches.
    draw : callable
        Draws the picture into an empty figure of matplotlib.
    """

    __module__ = "fastmlp.demos"  # where users find it

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    findings: list[str]
    lesson: str
    size: tuple[float, float]
    draw: "Callable[[Figure], None]" = field(repr=False, compare=False)

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the demo's picture.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            An empty one; by default a new figure of pyplot.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            When matplotlib is missing.
        """
        from .. import plotting

        plotting.require_matplotlib()
        if figure is None:
            from matplotlib import pyplot

            figure = pyplot.figure(figsize=self.size, layout="constrained")
        self.draw(figure)
        return figure

    def column(self, name: str) -> list[Any]:
        """Return the cells of one column.

        Parameters
        ----------
        name : str
            One of `columns`.

        Returns
        -------
        list
            A text or a number of each row.
        """
        k = self.columns.index(name)
        return [row[k] for row in self.rows]


def fit_all(estimators: Sequence[Any], X: "ArrayLike", y: "ArrayLike") -> list[Any]:
    """Fit networks at once, without warnings that some have not converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted: list[Any] = fit_many(estimators, X, y)
    return fitted


def units(count: int, kind: str = "hidden unit") -> str:
    """Write a count of units in words: '1 hidden unit', '4 hidden units'."""
    return f"{count} {kind}{'s' * (count != 1)}"
