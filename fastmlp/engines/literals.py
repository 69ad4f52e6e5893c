"""Formulas made ready for a compiler: their constants shall not widen float32.

numba types integer constants as int64 and others as float64, and float32 with either becomes
float64.
"""

import ast
import inspect
import textwrap
from types import FunctionType

import numpy as np


class _NarrowConstants(ast.NodeTransformer):
    """Replaces integers by names of int8 numbers, and floats by numbers like the first argument.

    A name of the module that stands for a float counts as that float.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self.first_argument = None

    def visit_FunctionDef(self, node):
        self.first_argument = node.args.args[0].arg
        return self.generic_visit(node)

    def visit_Constant(self, node):
        if type(node.value) is int:
            name = f"integer_{node.value}"
            self.namespace[name] = np.int8(node.value)
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


def with_narrow_constants(function, replacements, number_like, compile_one, compile_callee):
    """Compile a formula whose constants are as narrow as its arguments.

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
    """
    namespace = {**function.__globals__, "number_like": number_like}
    for name in function.__code__.co_names:
        callee = namespace.get(name)
        if callee in replacements:
            namespace[name] = replacements[callee]
        elif isinstance(callee, FunctionType) and callee.__module__ == function.__module__:
            namespace[name] = compile_callee(callee)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree = ast.fix_missing_locations(_NarrowConstants(namespace).visit(tree))
    exec(compile(tree, inspect.getfile(function), "exec"), namespace)
    return compile_one(namespace[function.__name__])
