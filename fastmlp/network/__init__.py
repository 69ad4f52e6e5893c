"""What a network is: its plan, its flat parameter vector, its formulas, the view into its layers.

Only numpy and math are imported here, and no other room of this package.
"""
