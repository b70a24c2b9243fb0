"""The lake's writer and readers, and what keeps them small."""
