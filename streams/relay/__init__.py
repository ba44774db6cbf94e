"""From the log to Kafka: one relay leads, the others stand by."""
