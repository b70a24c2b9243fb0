"""The detector: what is judged, correlated, told and kept."""
