"""Rules over events that are at hand, in files or from a pipe."""
