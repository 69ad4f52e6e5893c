"""The mathematics of a multilayer perceptron, one scalar function each.

The functions are undecorated and import nothing but ``math``: every backend
compiles the same source. Their constants are integers, which do not widen the numbers that they
meet.
"""
