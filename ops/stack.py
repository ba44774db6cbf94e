"""`python -m ops.stack [FOLDER]`: Postgres, Valkey, Kafka and OpenSearch in the foreground, on their own.

Prints where each listens, as lines for a shell, and stops all of them on Ctrl-C or SIGTERM, or when one of them ends.
The data, the ports and the passwords stay in the folder (`var/stack`).
"""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from counterfoil.embedded import standalone
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import private_folder
from ops.kafka import kafka_server
from ops.missing import MissingError
from ops.opensearch import opensearch_server
from ops.server import Server, ServerFailedError

FOLDER: Final = Path("var/stack")
_VALKEY_MAX_MEMORY_MB: Final = 1_024
_WATCH_SECONDS: Final = 1.0


def main(folder: Path) -> int:
    """Runs until it is asked to stop. Returns the exit status: 1 when a server did not start, or ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as servers:
            return _run(private_folder(folder), servers)
    except KeyboardInterrupt:
        return 0
    except (CannotStartError, MissingError, ServerFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(folder: Path, servers: ExitStack) -> int:
    sys.stderr.write(f"Starting four servers on {folder} …\n")
    postgres = servers.enter_context(standalone.standing_postgres(private_folder(folder / "postgres")))
    valkey = servers.enter_context(standalone.standing_valkey(private_folder(folder / "valkey"), _VALKEY_MAX_MEMORY_MB))
    kafka = servers.enter_context(kafka_server(folder / "kafka"))
    opensearch = servers.enter_context(opensearch_server(folder / "opensearch"))
    addresses = {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "KAFKA_URL": kafka.address,
        "OPENSEARCH_URL": f"http://{opensearch.address}",
    }
    print("".join(f"export {name}='{address}'\n" for name, address in addresses.items()), end="", flush=True)
    sys.stderr.write("They run until Ctrl-C.\n")
    watched: dict[str, standalone.Standing | Server] = {
        **{server.name: server for server in (postgres, valkey)},
        **{server.kind.name: server for server in (kafka, opensearch)},
    }
    while not (ended := [name for name, server in watched.items() if server.pid is None]):
        time.sleep(_WATCH_SECONDS)
    for name in ended:
        sys.stderr.write(f"{name} has ended, and with it the others are stopped:\n{watched[name].last_words()}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
