"""`python -m ops.fetch`: fetches the programs of Kafka and OpenSearch, where they are not there already."""

import sys

from ops.jars import jars
from ops.missing import MissingError


def main() -> int:
    """0 when both are there, 1 when not: what is missing is then on stderr."""
    try:
        for name in ("kafka", "opensearch"):
            jars(name)
    except MissingError as error:
        sys.stderr.write(f"There is no Kafka and no OpenSearch here: {error}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
