"""Events as Arrow columns: from the wire's columns to flat frames, and from frames to OCSF's nested structs."""
