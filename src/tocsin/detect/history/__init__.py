"""Rules over events that are already there."""
