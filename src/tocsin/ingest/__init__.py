"""Ingest: authenticate the sender, verify the batch, admit it to its chain, append it to the log, then acknowledge."""
