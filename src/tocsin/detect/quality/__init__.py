"""What is wrong with rules, and what they do on their cases."""
