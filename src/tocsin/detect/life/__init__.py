"""The life of a rule: rules as code, states, and where each applies."""
