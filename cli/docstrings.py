"""The docstrings of commands, which are their help, also where Python has left them out."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def docstring_of(function: Callable[..., Any] | None) -> str | None:
    """Return the docstring of a function, from its source under ``python -OO``.

    Parameters
    ----------
    function : function or None

    Returns
    -------
    str or None
        None where there is none, or no source.
    """
    if function is None or function.__doc__ is not None:
        return getattr(function, "__doc__", None)
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, SyntaxError):
        return None
    return ast.get_docstring(definition) if isinstance(definition, ast.FunctionDef) else None
