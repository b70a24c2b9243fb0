"""Rules in, findings out: Sigma files become condition trees, and these become masks over columns of events."""
