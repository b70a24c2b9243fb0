"""The rules in use: applied from folders, exchanged while events go on coming."""
