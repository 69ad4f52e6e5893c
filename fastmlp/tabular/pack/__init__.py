"""Packs: networks of several kinds over folds of the rows, weighed by rows that they have not seen.

``kinds`` says which networks there are and how many of them a table gets, ``folds`` cuts the rows,
``training`` trains the members, ``weighting`` weighs the kinds, and ``members`` is what remains: a
model that predicts.
"""
