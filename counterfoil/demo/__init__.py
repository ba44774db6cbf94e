"""A small shop of invented homeware, so that the first screen is not empty."""
