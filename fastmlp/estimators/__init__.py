"""scikit-learn's contract: estimators, their parameters, and a fit from data to fitted attributes.

Everything below this room works without scikit-learn.
"""
