"""The linter: one small function per lint, found by its id; docs/lint.md lists them all."""
