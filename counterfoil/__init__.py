"""The composition root: settings, wiring, the embedded runtime and the command line."""
