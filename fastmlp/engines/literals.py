"""Formulas made ready for a compiler: their constants get types that do not widen float32.

numba types integer constants as int64 and others as float64, and float32 with either becomes
float64. Here an integer becomes the smallest one that holds it, and another number gets the type
of the formula's first argument.
"""

import ast
import inspect
import textwrap
from types import FunctionType

import numpy as np


class _TypedLiterals(ast.NodeTransformer):
    """Replaces integers by names of small ones, and floats by numbers like the first argument.

    A name of the module that stands for a float counts as that float.

    Parameters
    ----------
    namespace : dict
        Globals of the function; gets the names.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self.function = self.first_argument = None

    def visit_FunctionDef(self, node):
        """Note the function's name and first argument, and go on with its body."""
        self.function, self.first_argument = node.name, node.args.args[0].arg
        return self.generic_visit(node)

    def visit_Constant(self, node):
        """What stands in for a constant."""
        if type(node.value) is int:
            name = f"integer_{node.value}"
            self.namespace[name] = _smallest_integer(node.value, self.function)
            return ast.copy_location(ast.Name(name, ast.Load()), node)
        if type(node.value) is float:
            arguments = [node, ast.Name(self.first_argument, ast.Load())]
            call = ast.Call(ast.Name("number_like", ast.Load()), arguments, [])
            return ast.copy_location(call, node)
        return node

    def visit_Name(self, node):
        value = self.namespace.get(node.id)
        if type(value) is float:
            return self.visit_Constant(ast.copy_location(ast.Constant(value), node))
        return node


def _smallest_integer(value, function):
    """An integer of the smallest type that float32 arithmetic takes without widening.

    Parameters
    ----------
    value : int
    function : str
        The name of the formula that has it, for the message.

    Raises
    ------
    ValueError
        Where it needs more than 16 bits.
    """
    for integer in (np.int8, np.int16):
        if value <= np.iinfo(integer).max:
            return integer(value)
    raise ValueError(
        f"the integer {value} in the formula {function} needs more than 16 bits, with which "
        f"float32 would become float64; write {value}.0"
    )


def with_typed_literals(function, replacements, number_like, compile_one, compile_callee):
    """Compile a formula whose constants do not widen its arguments.

    Parameters
    ----------
    function : callable
        An undecorated function of a module of :mod:`fastmlp.network.formulas`.
    replacements : dict
        What stands in for functions that it calls.
    number_like : callable
        ``number_like(c, x)`` is the constant c in the type of x.
    compile_one : callable
        Compiles the function that results.
    compile_callee : callable
        Compiles other formulas of its module that it calls.

    Returns
    -------
    callable

    Raises
    ------
    RuntimeError
        Where the formula's source cannot be read.
    ValueError
        Where it has an integer constant of more than 16 bits.
    """
    namespace = {**function.__globals__, "number_like": number_like}
    for name in function.__code__.co_names:
        callee = namespace.get(name)
        if callee in replacements:
            namespace[name] = replacements[callee]
        elif isinstance(callee, FunctionType) and callee.__module__ == function.__module__:
            namespace[name] = compile_callee(callee)
    tree = ast.parse(textwrap.dedent(_source(function)))
    tree = ast.fix_missing_locations(_TypedLiterals(namespace).visit(tree))
    exec(compile(tree, function.__code__.co_filename, "exec"), namespace)
    return compile_one(namespace[function.__name__])


def _source(function):
    """The source of a function; RuntimeError where it cannot be read."""
    try:
        return inspect.getsource(function)
    except OSError as error:
        raise RuntimeError(
            f"fastmlp compiles its formulas from their sources, and that of {function.__module__} "
            f"cannot be read ({error}); install the .py files of fastmlp beside or instead of "
            "compiled ones (.pyc)"
        ) from error
