"""The built-in payment provider: a server of its own that takes no real money, for development and tests."""
