"""Searching for good parameters: spaces, studies that survive their processes, and their results.

Optuna (the extra ``tune``) proposes the candidates. Nothing here is imported before it is used.
"""
