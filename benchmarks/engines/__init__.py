"""What `benchmarks/detection.py` compares: each engine is a function that gets rules and events and measures itself."""
