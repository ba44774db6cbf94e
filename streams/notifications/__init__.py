"""Telling customers what happened to their orders."""
