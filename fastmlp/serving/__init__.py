"""Predictions by HTTP, for programs and people that have no Python."""
