"""What a network is: its plan, its parameter vector, its formulas, and the units of its layers.

The modules here import only numpy and the standard library, and no other part of this package.
"""
