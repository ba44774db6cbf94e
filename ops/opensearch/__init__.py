"""OpenSearch on this machine: one node, small, with the modules that search needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from ops.jars import jars
from ops.java import program
from ops.server import HOST, Kind, Server

HEAP_MAX_MB: Final = 640
_ANSWER_TIMEOUT_SECONDS: Final = 2.0
_CONFIGURATION: Final = Path(__file__).parent

_SETTINGS: Final = """\
cluster.name: counterfoil
node.name: counterfoil
network.host: {host}
http.port: {port}
transport.port: {transport_port}
discovery.type: single-node
path.data: {folder}/data
path.logs: {folder}
# By default it stops taking documents when the disk is nine tenths full, however much that leaves.
cluster.routing.allocation.disk.threshold_enabled: false
"""


def opensearch_server(folder: Path) -> Server:
    """An OpenSearch on that folder, to be started; it speaks HTTP on its `address`."""
    return Server(Kind("OpenSearch", _command, _answers), folder)


@contextmanager
def opensearch(folder: Path) -> Iterator[str]:
    """A running OpenSearch; yields its URL. Raises MissingError and ServerFailedError."""
    with opensearch_server(folder) as server:
        yield f"http://{server.address}"


def _command(folder: Path, port: int) -> tuple[str, ...]:
    configuration = folder / "config"
    for name in ("config", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    settings = _SETTINGS.format(host=HOST, port=port, transport_port=port + 1, folder=folder)
    (configuration / "opensearch.yml").write_text(settings, encoding="utf-8")
    classes = jars("opensearch")
    return (
        str(program("java")),
        *("-Xms128m", f"-Xmx{HEAP_MAX_MB}m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"),
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Dlog4j2.configurationFile={_CONFIGURATION / 'log4j2.properties'}",
        *("-classpath", f"{classes}:{classes}/*"),
        "SearchNode",
        str(configuration),
    )


def _answers(port: int) -> bool:
    """Its cluster is formed and every index can be searched."""
    try:
        answer = httpx.get(
            f"http://{HOST}:{port}/_cluster/health",
            params={"wait_for_status": "yellow", "timeout": "1s"},
            timeout=_ANSWER_TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
