"""The estimators, with scikit-learn's interface, and the way from data to fitted attributes.

The packages ``network``, ``engines`` and ``training`` do without scikit-learn.
"""
