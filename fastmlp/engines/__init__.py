"""How a network is computed: one contract, and an engine for each kind of device that keeps it.

numba is imported in the rooms of the devices alone. Of this package, engines know ``network``.
"""
