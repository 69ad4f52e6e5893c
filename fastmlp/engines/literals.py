"""Preparation of formulas for a compiler: types of their constants, and how products are rounded.

numba gives integer constants the type int64, and others the type float64. An operation of either
with a float32 has a float64 as its result. Therefore this module gives each integer of a formula
the smallest type that holds it, and each other number the type of the formula's first argument.

A compiler that may join products and sums to multiply-adds, which are rounded once, does so for
one processor and not for another. The CPU's compiler may not. It is told which ones to join here.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from importlib.resources import files
from types import FunctionType
from typing import Any

import numpy as np

from ..exceptions import DeviceError


class _TypedLiterals(ast.NodeTransformer):
    """A transformer that gives the constants of a function types which do not widen float32.

    It replaces an integer by the name of a small one, and a float by a call of ``number_like``
    with the first argument. A global name that stands for a float is replaced like that float.

    Parameters
    ----------
    namespace : dict
        Globals of the function. Modified in place: gets the names of small integers.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.function = self.first_argument = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Note the function's name and first argument, and go on with its body."""
        self.function, self.first_argument = node.name, node.args.args[0].arg
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Return what replaces a constant."""
        if type(node.value) is int:
            name = f"integer_{node.value}"
            self.namespace[name] = _smallest_integer(node.value, self.function)
            return ast.copy_location(ast.Name(name, ast.Load()), node)
        if type(node.value) is float:
            arguments: list[ast.expr] = [node, ast.Name(self.first_argument, ast.Load())]
            call = ast.Call(ast.Name("number_like", ast.Load()), arguments, [])
            return ast.copy_location(call, node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return what replaces a name: that of a global float is replaced like the float."""
        value = self.namespace.get(node.id)
        if type(value) is float:
            return self.visit_Constant(ast.copy_location(ast.Constant(value), node))
        return node


class _MultiplyAdds(ast.NodeTransformer):
    """A transformer that joins products and sums, and replaces powers by functions.

    ``x * y + z`` becomes ``multiply_add(x, y, z)``, and likewise for differences. Of two products
    the first one is joined. ``x ** 0.5`` becomes ``sqrt(x)``, and other powers ``power(x, y)``.
    """

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Return what replaces an operation."""
        self.generic_visit(node)
        left, right = node.left, node.right
        if isinstance(node.op, ast.Pow):
            is_root = isinstance(right, ast.Constant) and right.value == 0.5
            return _call("sqrt", left) if is_root else _call("power", left, right)
        if not isinstance(node.op, ast.Add | ast.Sub):
            return node
        is_difference = isinstance(node.op, ast.Sub)
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult):
            third = ast.UnaryOp(ast.USub(), right) if is_difference else right
            return _call("multiply_add", left.left, left.right, third)
        if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Mult):
            first = ast.UnaryOp(ast.USub(), right.left) if is_difference else right.left
            return _call("multiply_add", first, right.right, left)
        return node


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    """Return a call of a function with these arguments."""
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _smallest_integer(value: int, function: str) -> np.int8 | np.int16:
    """Convert an integer to the smallest type that holds it and does not widen float32.

    Parameters
    ----------
    value : int
    function : str
        The name of the formula that has the integer, for the message.

    Returns
    -------
    numpy.int8 or numpy.int16

    Raises
    ------
    ValueError
        When the integer needs more than 16 bits.
    """
    for integer in (np.int8, np.int16):
        if value <= np.iinfo(integer).max:
            return integer(value)
    raise ValueError(
        f"the integer {value} in the formula {function} needs more than 16 bits, with which "
        f"float32 would become float64; write {value}.0"
    )


def with_typed_literals(
    function: Any,
    replacements: Mapping[Any, Any],
    number_like: Callable[..., Any],
    compile_one: Callable[[Any], Any],
    compile_callee: Callable[[Any], Any],
    arithmetic: Mapping[str, Any] | None = None,
) -> Any:
    """Compile a formula such that its constants do not widen its arguments.

    Parameters
    ----------
    function : function
        A function without decorators of a module of :mod:`fastmlp.network.formulas`.
    replacements : dict of callable to callable
        The functions that are called in the place of others.
    number_like : callable
        ``number_like(c, x)`` converts the constant c to the type of x.
    compile_one : callable
        ``compile_one(f)`` compiles the function that results.
    compile_callee : callable
        ``compile_callee(f)`` compiles another formula of the module, which this one calls.
    arithmetic : dict of str to callable, or None
        The functions ``multiply_add(x, y, z)``, ``power(x, n)`` and ``sqrt(x)``, which are called
        in place of operators; None where the compiler chooses.

    Returns
    -------
    callable
        What `compile_one` returns.

    Raises
    ------
    DeviceError
        When the formula's source cannot be read.
    ValueError
        When the formula has an integer constant of more than 16 bits.
    """
    namespace = {**function.__globals__, "number_like": number_like}
    for name in function.__code__.co_names:
        callee = namespace.get(name)
        if callee in replacements:
            namespace[name] = replacements[callee]
        elif isinstance(callee, FunctionType) and callee.__module__ == function.__module__:
            namespace[name] = compile_callee(callee)
    tree = ast.parse(_source(function))
    if arithmetic is not None:
        namespace.update(arithmetic)
        tree = _MultiplyAdds().visit(tree)
    tree = ast.fix_missing_locations(_TypedLiterals(namespace).visit(tree))
    exec(compile(tree, function.__code__.co_filename, "exec"), namespace)
    return compile_one(namespace[function.__name__])


def _source(function: Any) -> str:
    """Read the source of a function.

    An installation may have compiled modules alone. The package of the formulas therefore has their
    sources as data, too.

    Raises
    ------
    DeviceError
        When the source cannot be read.
    """
    try:
        return textwrap.dedent(inspect.getsource(function))
    except OSError:
        pass
    package, _, module = function.__module__.rpartition(".")
    try:
        text = files(package).joinpath("sources", f"{module}.txt").read_text("utf-8")
    except (OSError, ImportError) as error:
        raise DeviceError(
            f"fastmlp compiles its formulas from their sources, and that of {function.__module__} "
            "is missing: bundle the data files of fastmlp, as pyinstaller --collect-data fastmlp "
            "does, or install its .py files"
        ) from error
    (found,) = (
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__
    )
    return ast.unparse(found)
