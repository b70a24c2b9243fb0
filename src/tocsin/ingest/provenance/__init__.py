"""Provenance: from a row of the lake to its batch to the signature of the agent that saw the event."""
