"""Condition trees over events: masks over columns, and the reference."""
