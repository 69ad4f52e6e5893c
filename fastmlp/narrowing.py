"""Formulas made ready for a compiler: their integers shall not widen float32.

numba types integer constants as int64, and float32 with int64 becomes float64.
"""

import ast
import inspect
import textwrap
from types import FunctionType

import numpy as np


class _NarrowIntegers(ast.NodeTransformer):
    """Replaces integer constants by names of int8 numbers in a namespace."""

    def __init__(self, namespace):
        self.namespace = namespace

    def visit_Constant(self, node):
        if type(node.value) is not int:
            return node
        name = f"integer_{node.value}"
        self.namespace[name] = np.int8(node.value)
        return ast.copy_location(ast.Name(name, ast.Load()), node)


def with_small_integers(function, replacements, compile_one, compile_callee):
    """Compile a formula whose integers are as narrow as can be.

    Parameters
    ----------
    function : callable
        An undecorated function of a module of :mod:`fastmlp.formulas`.
    replacements : dict
        What stands in for functions that it calls.
    compile_one : callable
        Compiles the function that results.
    compile_callee : callable
        Compiles other formulas of its module that it calls.

    Returns
    -------
    callable
    """
    namespace = dict(function.__globals__)
    for name in function.__code__.co_names:
        callee = namespace.get(name)
        if callee in replacements:
            namespace[name] = replacements[callee]
        elif isinstance(callee, FunctionType) and callee.__module__ == function.__module__:
            namespace[name] = compile_callee(callee)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree = ast.fix_missing_locations(_NarrowIntegers(namespace).visit(tree))
    exec(compile(tree, inspect.getfile(function), "exec"), namespace)
    return compile_one(namespace[function.__name__])
