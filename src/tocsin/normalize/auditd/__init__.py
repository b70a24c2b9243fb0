"""From Linux audit records to events."""
