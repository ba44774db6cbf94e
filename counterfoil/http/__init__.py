"""What both APIs wear: who is calling, problems, bounds, request ids, metrics and health."""
