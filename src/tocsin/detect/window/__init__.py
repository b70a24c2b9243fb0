"""Correlations: which matches, close in time and alike in some values, mean something together."""
