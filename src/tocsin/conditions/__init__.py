"""Condition trees in and out of SQL."""
