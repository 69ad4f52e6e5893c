"""Training: the loop over epochs, L-BFGS, the record of a fit, callbacks, and diagnosis.

The modules here know engines by :class:`fastmlp.engines.engine.Engine` alone, and no estimators.
"""
