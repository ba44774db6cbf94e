"""Looks for everything that ought to have come to its end and has not."""
