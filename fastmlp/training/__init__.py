"""The loop over an engine's epochs, L-BFGS, their history, and who is told of each epoch.

Engines are known by their contract, and no estimator is named here.
"""
