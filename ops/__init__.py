"""The servers of the distributed engine, for development and tests without Docker, and what compose.yaml needs."""
