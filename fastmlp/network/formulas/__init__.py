"""The mathematics of a multilayer perceptron, one scalar function each.

The functions are undecorated and import nothing but ``math``: every backend
compiles the same source, with constants that do not widen the numbers that they meet (see
:mod:`fastmlp.engines.literals`).
"""
