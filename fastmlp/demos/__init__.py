"""Classic experiments with multilayer perceptrons, each of a few seconds.

``fastmlp.demos.xor(seed=0)`` returns a :class:`fastmlp.demos.Result`; the others are
called so, too, and all take `seed`. Modules are imported when a demo is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

from ..exceptions import InputError

if TYPE_CHECKING:
    from .result import Result


class About(NamedTuple):
    """What is known of a demo before it runs.

    Parameters
    ----------
    module : str
    summary : str
        What it shows, in a few words.
    topic : str
        The topic of a lecture that it belongs to.
    lesson : str
        The lesson of the playground in which one can try the same; empty where there is none.
    """

    module: str
    summary: str
    topic: str
    lesson: str = ""


# By their names on the command line.
_DEMOS = {
    "xor": About(
        "logic", "exclusive or: beyond any linear model, solved by two hidden units",
        "Hidden layers", "xor",
    ),
    "threshold-units": About(
        "logic", "exclusive or by hand, from units that are on or off",
        "From threshold units to smooth ones", "xor",
    ),
    "perceptron": About(
        "perceptrons", "a threshold unit's own rule, which ends where a line parts the classes",
        "The perceptron and linear separability", "linear-xor",
    ),
    "boolean-functions": About(
        "boolean", "any Boolean function of D inputs from 2^D threshold units",
        "Universality of threshold units",
    ),
    "three-points": About(
        "logic", "three points on a line need two relu units", "Relu units and their bends",
        "wave",
    ),
    "translation": About(
        "patterns", "patterns at any position: chance for a linear model",
        "Invariance, and what hidden units detect",
    ),
    "spiral": About("plane", "two intertwined spirals", "Width and depth", "spiral"),
    "circle": About(
        "plane", "a disc within a ring: three lines enclose it", "Regions from half-planes",
        "circle",
    ),
    "digits": About(
        "images", "images of digits: errors, and what the hidden units look for",
        "Softmax, cross-entropy and learned features",
    ),
    "approximation": About(
        "curves", "any curve from enough hidden units", "Universal approximation", "bump",
    ),
    "vanishing-gradients": About(
        "depth", "what reaches the first of many layers, by initialisation",
        "Vanishing gradients and initialisation", "vanishing",
    ),
    "backpropagation": About(
        "graphs", "one example through a network and back, number by number",
        "Backpropagation and the computation graph", "xor",
    ),
}  # fmt: skip

__all__ = [
    "About",
    "Result",
    "about",
    "names",
    "run",
    "summary",
    *(name.replace("-", "_") for name in _DEMOS),
]


def names() -> list[str]:
    """Return the names of all demos, as the command line has them.

    Returns
    -------
    list of str
    """
    return list(_DEMOS)


def summary(name: str) -> str:
    """Say in a few words what a demo shows.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    str

    Raises
    ------
    InputError
        When there is no demo of this name.
    """
    return about(name).summary


def about(name: str) -> About:
    """Tell what is known of a demo before it runs.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    fastmlp.demos.About

    Raises
    ------
    InputError
        When there is no demo of this name.
    """
    if name not in _DEMOS:
        raise InputError(f"no demo {name!r}; there are {', '.join(_DEMOS)}")
    return _DEMOS[name]


def run(name: str, seed: int = 0, **options: Any) -> "Result":
    """Run a demo by its name.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    seed : int, default=0
        Seed of the data and of the initial weights.
    **options
        Further parameters of that demo's function.

    Returns
    -------
    fastmlp.demos.Result

    Raises
    ------
    InputError
        When there is no demo of this name.
    """
    module = about(name).module
    function = getattr(importlib.import_module(f".{module}", __name__), name.replace("-", "_"))
    result: Result = function(seed=seed, **options)
    return result


def __getattr__(name: str) -> Any:
    known = _DEMOS.get(name.replace("_", "-"))
    if name != "Result" and (known is None or "-" in name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "result" if known is None else known.module
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
