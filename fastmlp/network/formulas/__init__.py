"""The mathematics of a multilayer perceptron, one scalar function each.

The functions have no decorators and import nothing but ``math``, so that every engine can compile
the same source. Before that :mod:`fastmlp.engines.literals` gives their constants the type of the
numbers that they are used with, so that float32 stays float32.
"""
