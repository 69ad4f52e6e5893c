"""What a demo returns, and how demos fit networks."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from sklearn.exceptions import ConvergenceWarning

from ..estimators.fit_many import fit_many


@dataclass(frozen=True)
class Result:
    """What came out of a demo.

    Attributes
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
    """

    name: str
    title: str
    columns: tuple
    rows: list
    findings: list
    lesson: str
    size: tuple
    draw: Callable = field(repr=False, compare=False)

    def plot(self, figure=None):
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

    def column(self, name):
        """The cells of one column."""
        k = self.columns.index(name)
        return [row[k] for row in self.rows]


def fit_all(estimators, X, y):
    """Fit networks at once; that some would go on for longer is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_many(estimators, X, y)


def units(count, kind="hidden unit"):
    """A count of units in words: '1 hidden unit', '4 hidden units'."""
    return f"{count} {kind}{'s' * (count != 1)}"
