"""From a table with numbers and text to a model, and back to predictions.

Files are read here, columns described and prepared; the networks are those of ``estimators``.
"""
