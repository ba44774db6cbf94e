"""Apache Kafka on this machine: one node that is broker and controller (KRaft), small."""

import base64
import logging
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.jars import jars
from ops.java import program
from ops.server import HOST, Kind, Server, ServerFailedError

HEAP_MAX_MB: Final = 320
_FORMAT_TIMEOUT_SECONDS: Final = 60
_CONNECT_TIMEOUT_SECONDS: Final = 0.5
_ANSWER_TIMEOUT_SECONDS: Final = 1.5
_CONFIGURATION: Final = Path(__file__).parent

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
# A topic is made by whoever knows how many partitions it has; a misspelt one is an error.
auto.create.topics.enable=false
# One node: what is kept three times elsewhere is kept once.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
# A killed broker that is started again is let in when its former session has run out: 9 s by default.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
# A group of consumers in a test need not wait for latecomers.
group.initial.rebalance.delay.ms=0
# Segments of a gigabyte are for servers with a disk of their own.
log.segment.bytes=67108864
"""


def kafka_server(folder: Path) -> Server:
    """A Kafka on that folder, to be started; clients bootstrap from its `address`."""
    return Server(Kind("Kafka", _command, _answers), folder)


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """A running Kafka; yields the address to bootstrap from. Raises MissingError and ServerFailedError."""
    with kafka_server(folder) as server:
        yield server.address


def _command(folder: Path, port: int) -> tuple[str, ...]:
    properties = folder / "server.properties"
    data = folder / "data"
    (folder / "tmp").mkdir(exist_ok=True)
    if not data.is_dir():
        _format(folder, port)
    _write(properties, port, data)
    return _java(folder, HEAP_MAX_MB, "kafka.Kafka", str(properties))


def _format(folder: Path, port: int) -> None:
    """Aside and renamed, so that an interrupted one leaves nothing that looks like data."""
    new = folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    properties = folder / "format.properties"
    _write(properties, port, new)
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = _java(
        folder, 64, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(properties)
    )  # an id may begin with a dash
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FORMAT_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerFailedError(f"Kafka's folder was not formatted within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise ServerFailedError(f"Kafka's folder could not be formatted:\n{done.stdout}{done.stderr}")
    properties.unlink()
    new.rename(folder / "data")


def _write(properties: Path, port: int, data: Path) -> None:
    text = _PROPERTIES.format(host=HOST, port=port, controller_port=port + 1, data=data)
    properties.write_text(text, encoding="utf-8")


def _java(folder: Path, heap_max_mb: int, main: str, *arguments: str) -> tuple[str, ...]:
    return (
        str(program("java")),
        *("-Xms32m", f"-Xmx{heap_max_mb}m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"),
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        f"-Dlog4j.configuration={(_CONFIGURATION / 'log4j.properties').as_uri()}",
        *("-classpath", f"{jars('kafka')}/*"),
        main,
        *arguments,
    )


def _answers(port: int) -> bool:
    """It lists its brokers and itself among them; not asked before it listens, because clients then wait for long."""
    try:
        socket.create_connection((HOST, port), timeout=_CONNECT_TIMEOUT_SECONDS).close()
        client = AdminClient({"bootstrap.servers": f"{HOST}:{port}"}, logger=_silent)
        return len(client.list_topics(timeout=_ANSWER_TIMEOUT_SECONDS).brokers) == 1
    except (OSError, KafkaException):
        return False


_silent: Final = logging.getLogger(f"{__name__}.probe")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
