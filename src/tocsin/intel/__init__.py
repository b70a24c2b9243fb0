"""Threat intelligence: feeds of indicators, matched against events as they come and against history."""
