"""What keeps the servers of Kafka and OpenSearch from running on this machine."""


class MissingError(Exception):
    """Something that has to be installed, or fetched, before; the message names it and says how."""
