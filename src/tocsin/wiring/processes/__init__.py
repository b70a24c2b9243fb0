"""The processes of a server: claimed, started, supervised."""
