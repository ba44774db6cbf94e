"""What each command does: pure functions of the aggregates, run by the writer."""
