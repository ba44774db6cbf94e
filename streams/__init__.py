"""What follows the log: in one process, straight from the event store."""
