"""What the state knows about rules: versions, states, tags, hits, suppressions."""
