"""REST under /api/v1, and who may call it."""
