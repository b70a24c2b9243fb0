"""Capture policies: applied from folders, explained by what is stored."""
