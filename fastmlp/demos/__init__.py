"""Classic experiments with multilayer perceptrons, each of a few seconds.

``fastmlp.demos.xor(seed=0)`` returns a :class:`fastmlp.demos.Result`; the others are
called so, too, and all take `seed`. Modules are imported when a demo is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ..exceptions import InputError

if TYPE_CHECKING:
    from .result import Result

# Name on the command line: module, and what it shows.
_DEMOS = {
    "xor": ("logic", "exclusive or: beyond any linear model, solved by two hidden units"),
    "threshold-units": ("logic", "exclusive or by hand, from units that are on or off"),
    "three-points": ("logic", "three points on a line need two relu units"),
    "translation": ("patterns", "patterns at any position: chance for a linear model"),
    "spiral": ("plane", "two intertwined spirals"),
    "circle": ("plane", "a disc within a ring: three lines enclose it"),
    "digits": ("images", "images of digits: errors, and what the hidden units look for"),
    "approximation": ("curves", "any curve from enough hidden units"),
    "vanishing-gradients": ("depth", "what reaches the first of many layers, by initialisation"),
    "backpropagation": ("graphs", "one example through a network and back, number by number"),
}

__all__ = ["Result", "names", "run", "summary", *(name.replace("-", "_") for name in _DEMOS)]


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
    return _DEMOS[_known(name)][1]


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
    module = _DEMOS[_known(name)][0]
    function = getattr(importlib.import_module(f".{module}", __name__), name.replace("-", "_"))
    result: Result = function(seed=seed, **options)
    return result


def _known(name: str) -> str:
    if name not in _DEMOS:
        raise InputError(f"no demo {name!r}; there are {', '.join(_DEMOS)}")
    return name


def __getattr__(name: str) -> Any:
    module = "result" if name == "Result" else _DEMOS.get(name.replace("_", "-"), ("", ""))[0]
    if not module or "-" in name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
