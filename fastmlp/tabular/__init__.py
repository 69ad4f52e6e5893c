"""Models for tables of numbers and text.

These modules read files, describe and prepare columns, and train the networks of ``estimators`` on
them.
"""
