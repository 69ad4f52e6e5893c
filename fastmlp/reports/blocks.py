"""The parts that a report is made of, before they become a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass
class Cell:
    """A cell of a table.

    Parameters
    ----------
    text : str
    detail : str, default=''
        A further text below, in small letters.
    key : float, optional
        What the rows are sorted by; the text, where there is none.
    look : str, default=''
        A class of the style sheet, such as 'h3' for the fourth of eleven shades.
    is_header : bool, default=False
        Whether the cell names its row.
    """

    text: str
    detail: str = ""
    key: float | None = None
    look: str = ""
    is_header: bool = False


@dataclass
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass
class Heading:
    """A heading within a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass
class Notes:
    """A list of sentences; those of a warning have a mark."""

    items: Sequence[str]
    is_warning: bool = False
    kind: ClassVar[str] = "notes"


@dataclass
class Grid:
    """A table.

    Parameters
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of Cell
    numeric : set of int
        The columns of numbers, which stand on the right.
    can_sort : bool, default=False
        Whether a click on the head of a column sorts the rows.
    is_matrix : bool, default=False
        Whether it stays a table on narrow screens, where the cells of others are listed.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: set[int] = field(default_factory=set)
    can_sort: bool = False
    is_matrix: bool = False
    kind: ClassVar[str] = "grid"


@dataclass
class Picture:
    """A figure of matplotlib, and what it shows.

    Parameters
    ----------
    title : str
        A heading that says what is seen.
    text : str
        How to read the figure.
    describe : str
        What the figure says, for those who do not see it.
    figure : matplotlib.figure.Figure
    names : Names
        What stands for the texts of the table in the figure.
    """

    title: str
    text: str
    describe: str
    figure: Any
    names: Any
    kind: ClassVar[str] = "picture"


@dataclass
class Row:
    """Pictures that stand beside each other where there is room."""

    pictures: Sequence[Picture]
    kind: ClassVar[str] = "row"


Block = Text | Heading | Notes | Grid | Row


@dataclass
class Section:
    """A part of the page with a heading."""

    anchor: str
    title: str
    blocks: list[Block]


@dataclass
class Page:
    """All that a report says.

    Parameters
    ----------
    title : str
    lead : sequence of str
        The first sentences.
    sections : list of Section
    about : sequence of str
        How the page was made.
    """

    title: str
    lead: Sequence[str]
    sections: list[Section]
    about: Sequence[str]
