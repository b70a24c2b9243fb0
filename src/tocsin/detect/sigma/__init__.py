"""Sigma files to rules and condition trees."""
