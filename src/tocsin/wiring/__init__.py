"""Wiring: which adapter keeps which promise, which processes run which stage. Only this package knows them all."""
