"""The command line and the settings, as somebody at a keyboard meets them."""

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
import structlog
from pydantic import SecretStr, ValidationError

from counterfoil import logs
from counterfoil.settings import Settings

ROOT = Path(__file__).parents[2]
COMMAND_TIMEOUT_SECONDS = 60


def counterfoil(*arguments: str, var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "_URL" not in name and "COUNTERFOIL" not in name}
    return subprocess.run(
        [sys.executable, "-m", "counterfoil", *arguments],
        env=kept | {"PYTHONPATH": str(ROOT), "COUNTERFOIL_VAR": str(var)} | environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_SECONDS,
        check=False,
    )


def test_help_names_the_commands_and_makes_no_folder(tmp_path: Path) -> None:
    done = counterfoil("--help", var=tmp_path / "var")
    assert done.returncode == 0
    assert {"up", "token", "migrate"} <= set(done.stdout.split())
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("counterfoil.embedded.shop", {"fastapi", "psycopg", "redis", "sqlalchemy", "httpx", "aiohttp", "structlog"}),
        ("counterfoil.cli", {"fastapi", "psycopg", "redis", "sqlalchemy", "httpx", "aiohttp", "jwt", "pydantic"}),
        ("counterfoil.part", {"fastapi", "psycopg", "redis", "sqlalchemy", "httpx", "aiohttp", "typer", "rich"}),
    ],
)
def test_what_stays_in_memory_for_as_long_as_the_shop_is_open_is_light(module: str, heavy: set[str]) -> None:
    script = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not heavy & loaded


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "counterfoil.part", "x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "command-api" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_is_good_for_the_shop_of_its_data_folder(tmp_path: Path) -> None:
    secret = Settings(var=tmp_path / "var").jwt_secret.get_secret_value()
    done = counterfoil("token", "--sub", "ada", "--role", "operator", "--role", "auditor", var=tmp_path / "var")
    assert done.returncode == 0
    claims = jwt.decode(done.stdout.strip(), secret, algorithms=["HS256"], options={"require": ["exp", "iat", "sub"]})
    assert (claims["sub"], claims["roles"]) == ("ada", ["operator", "auditor"])
    assert claims["exp"] - claims["iat"] == 86_400
    assert "No shop is running" in done.stderr


def test_where_there_is_no_shop_there_is_no_token_and_nothing_is_made(tmp_path: Path) -> None:
    done = counterfoil("token", "--sub", "ada", var=tmp_path / "var")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(tmp_path / "var") in done.stderr
    assert "make up" in done.stderr
    assert "COUNTERFOIL_JWT_SECRET" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nor_where_the_shop_was_started_with_a_secret_that_is_not_given_now(tmp_path: Path) -> None:
    Settings(var=tmp_path / "var", jwt_secret=SecretStr("from-outside" * 4))
    kept = (tmp_path / "var/secrets.json").read_text()
    done = counterfoil("token", "--sub", "ada", var=tmp_path / "var")
    assert (done.returncode, done.stdout) == (1, "")
    assert "COUNTERFOIL_JWT_SECRET" in done.stderr
    assert (tmp_path / "var/secrets.json").read_text() == kept


def test_a_token_under_a_secret_that_is_given_needs_no_data_folder_and_makes_none(tmp_path: Path) -> None:
    secret = "from-outside" * 4
    done = counterfoil("token", "--sub", "ada", var=tmp_path / "var", COUNTERFOIL_JWT_SECRET=secret)
    assert done.returncode == 0, done.stderr
    assert jwt.decode(done.stdout.strip(), secret, algorithms=["HS256"])["sub"] == "ada"
    assert list(tmp_path.iterdir()) == []


def test_secrets_that_are_damaged_are_said_to_be_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    done = counterfoil("token", "--sub", "ada", var=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged" in done.stderr
    assert (tmp_path / "secrets.json").read_text() == "{"


@pytest.mark.parametrize("ttl", ["0", "-5", "999999999"])
def test_a_token_without_bounds_is_refused(tmp_path: Path, ttl: str) -> None:
    done = counterfoil("token", "--sub", "ada", "--ttl-seconds", ttl, var=tmp_path / "var")
    assert done.returncode == 2
    assert done.stdout == ""


def test_a_part_without_a_running_shop_says_how_to_start_one(tmp_path: Path) -> None:
    done = counterfoil("migrate", var=tmp_path / "var")
    assert done.returncode == 1
    assert "No shop is running" in done.stderr
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COUNTERFOIL_COMMAND_PORT", "70000", "COUNTERFOIL_COMMAND_PORT"),
        ("COUNTERFOIL_COMMAND_PORT", "8002", "must differ"),
        ("COUNTERFOIL_JWT_SECRET", "too-short", "COUNTERFOIL_JWT_SECRET"),
        ("COUNTERFOIL_CURRENCY", "pounds", "COUNTERFOIL_CURRENCY"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_its_value_is_not_shown(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    done = counterfoil("up", var=tmp_path / "var", **{variable: value})
    assert done.returncode == 1
    assert said in done.stderr
    assert "too-short" not in done.stderr
    assert "Traceback" not in done.stderr


def test_secrets_are_made_once_and_belong_to_their_owner_alone(tmp_path: Path) -> None:
    first, second = Settings(var=tmp_path / "var"), Settings(var=tmp_path / "var")
    assert first == second
    assert len({first.jwt_secret, first.session_secret, first.webhook_secret}) == 3
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "var/secrets.json").stat().st_mode) == 0o600
    assert Settings(var=tmp_path / "other").jwt_secret != first.jwt_secret


def test_a_secret_that_is_given_is_used_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_JWT_SECRET", "from-outside" * 4)
    settings = Settings(var=tmp_path / "var")
    assert settings.jwt_secret.get_secret_value() == "from-outside" * 4
    assert "jwt_secret" not in json.loads((tmp_path / "var/secrets.json").read_text())
    assert "from-outside" not in repr(settings)


def test_settings_do_not_change(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings(var=tmp_path).command_port = 1  # type: ignore[misc]


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert Settings(var=tmp_path).database_url is None


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_it_was")
def test_every_log_line_is_json_with_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("projector", "info")
    structlog.get_logger("ours").warning("stuck", position=17)
    logging.getLogger("uvicorn.error").info("listening on %s", "8004")
    logging.getLogger("theirs").debug("not shown")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("theirs").exception("failed")
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(entry["event"], entry["level"], entry["part"]) for entry in entries] == [
        ("stuck", "warning", "projector"),
        ("listening on 8004", "info", "projector"),
        ("failed", "error", "projector"),
    ]
    assert entries[0]["position"] == 17
    assert "ValueError: broken" in entries[2]["exception"]
