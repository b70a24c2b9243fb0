"""Readers: one format a file, from bytes to indicators and what could not be read."""
