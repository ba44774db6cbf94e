"""The processes of a checkout: the payment provider, our command API, and the reference shop."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import psycopg

from bench.references import shop_statements
from bench.server import POLL_SECONDS, START_TIMEOUT_SECONDS, running
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.ports import free_port

HOST: Final = "127.0.0.1"
ANSWER_TIMEOUT_SECONDS: Final = 30.0
CAPTURED_WITHIN_SECONDS: Final = 60.0
PRODUCTS_COUNT: Final = 100
UNITS: Final = 1_000_000
PRICE_MINOR: Final = 1_999
SKUS: Final = [f"BENCH-{number:03d}" for number in range(PRODUCTS_COUNT)]
NOT_ASKED: Final = "none:"  # a part wants to know the addresses of servers that it has no use for
TOKEN_LIFE_SECONDS: Final = 3_600
SECRET: Final = secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Shop:
    name: str
    port: int


@contextmanager
def provider(folder: Path) -> Iterator[str]:
    """The built-in payment provider; yields its address."""
    port = free_port(HOST)
    environment = {
        "DATABASE_URL": NOT_ASKED,
        "REDIS_URL": NOT_ASKED,
        "COUNTERFOIL_PROVIDER_PORT": str(port),
        "COUNTERFOIL_VAR": str(folder / "provider"),
    }
    with part("provider", "counterfoil.part", environment, folder, port):
        yield f"http://{HOST}:{port}"


def charges_count(provider_url: str) -> int:
    """What was captured, as the provider's own books say, once nothing is held any more.

    Raises TimeoutError when something still is after CAPTURED_WITHIN_SECONDS.
    """
    until = time.monotonic() + CAPTURED_WITHIN_SECONDS
    while (books := _books(provider_url))["authorised"]["count"]:
        if time.monotonic() > until:
            raise TimeoutError(f"held and not taken after {CAPTURED_WITHIN_SECONDS} s: {books['authorised']}")
        time.sleep(POLL_SECONDS)
    return int(books["charges"]["count"])


def _books(provider_url: str) -> dict[str, dict[str, Any]]:
    books = httpx.get(f"{provider_url}/v1/books", trust_env=False, timeout=ANSWER_TIMEOUT_SECONDS)
    found: dict[str, dict[str, Any]] = books.raise_for_status().json()
    return found


@contextmanager
def ours(database_url: str, provider_url: str, folder: Path) -> Iterator[Shop]:
    """Our command API, with a stocked catalogue."""
    port = free_port(HOST)
    environment = {
        "DATABASE_URL": database_url,
        "REDIS_URL": NOT_ASKED,
        "COUNTERFOIL_COMMAND_PORT": str(port),
        "COUNTERFOIL_PROVIDER_URL": provider_url,
        "COUNTERFOIL_JWT_SECRET": SECRET,
        "COUNTERFOIL_VAR": str(folder / "ours"),
    }
    with part("command-api", "counterfoil.part", environment, folder, port):
        _fill_catalogue(f"http://{HOST}:{port}")
        yield Shop("ours", port)


@contextmanager
def reference_shop(database_url: str, provider_url: str, folder: Path) -> Iterator[Shop]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(shop_statements.CREATE.encode())
        for sku in SKUS:
            connection.execute("INSERT INTO shop.products VALUES (%s, %s, %s, true)", (sku, f"A {sku}", PRICE_MINOR))
            connection.execute("INSERT INTO shop.stock (sku, on_hand) VALUES (%s, %s)", (sku, UNITS))
        connection.execute("VACUUM ANALYZE")
    port = free_port(HOST)
    environment = {
        "DATABASE_URL": database_url,
        "PROVIDER_URL": provider_url,
        "PORT": str(port),
        "SESSION_SECRET": SECRET,
    }
    with part("", "bench.reference_shop", environment, folder, port):
        yield Shop("reference", port)


@contextmanager
def nothing_shop(provider_url: str, folder: Path) -> Iterator[Shop]:
    """HTTP and the provider, and nothing stored: what no shop of this kind can pass."""
    port = free_port(HOST)
    environment = {"PROVIDER_URL": provider_url, "PORT": str(port), "SESSION_SECRET": SECRET}
    with part("", "bench.nothing_shop", environment, folder, port):
        yield Shop("nothing", port)


def _fill_catalogue(command_url: str) -> None:
    claims = {"sub": "bench", "roles": ["operator"], "exp": int(time.time()) + TOKEN_LIFE_SECONDS}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    with httpx.Client(
        base_url=command_url,
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=ANSWER_TIMEOUT_SECONDS,
    ) as operator:
        for sku in SKUS:
            product = {
                "sku": sku,
                "title": f"A {sku}",
                "category": ["Home"],
                "price": {"amount": PRICE_MINOR, "currency": "GBP"},
            }
            _post(operator, "/v1/products", product)
            _post(operator, f"/v1/inventory/{sku}/receive", {"warehouse_id": "main", "quantity": UNITS})


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    client.post(path, json=body).raise_for_status()


@contextmanager
def part(name: str, module: str, environment: Mapping[str, str], folder: Path, port: int) -> Iterator[None]:
    """A Python process that answers on `/readyz` of its port. Raises CannotStartError."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH") if key in os.environ}
    launch = Launch(
        command=(sys.executable, "-m", module, *([name] if name else [])),
        environment={**kept, "COUNTERFOIL_LOG_LEVEL": "warning", **environment},
        folder=Path(__file__).resolve().parent.parent,
    )
    log = folder / f"{name or module}.log"
    with running(launch, log) as process:
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > until:
                raise CannotStartError(f"{name or module} did not start:\n{log.read_text(errors='replace')[-3_000:]}")
            time.sleep(POLL_SECONDS)
        yield


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/readyz", trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
