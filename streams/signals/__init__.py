"""Counters across aggregates, fed from the log, from Kafka and from the pages that are looked at."""
