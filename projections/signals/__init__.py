"""What many shoppers do, counted: what is trending, and what is bought together."""
