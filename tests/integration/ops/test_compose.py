"""compose.yaml: that it is what Compose takes, and that what it says of our parts and settings is so."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from counterfoil.part import PARTS
from counterfoil.settings import Settings, variable
from tests.integration.ops.compose_file import PART_COMMAND, compose, our_services, services
from tests.integration.ops.compose_schema import COMPOSE
from tests.rules.sources import PROJECT

TIMEOUT_SECONDS = 30
EXPECTED = {
    "nginx": 1, "command-api": 2, "query-api": 2, "relay": 2, "worker": 2, "projector": 2, "provider": 1, "migrate": 1,
    "postgres": 1, "valkey": 1, "kafka": 1, "opensearch": 1,
}  # fmt: skip
# What stands in the file's text is asked of whoever starts it, by name, and has no default.
ASKED = re.compile(r"\$\{(\w+):\?\}")
PORTS = {"command-api": "command_port", "query-api": "query_port", "provider": "provider_port"}


def faults(read: dict[str, Any]) -> list[str]:
    return [error.json_path for error in jsonschema.Draft202012Validator(COMPOSE).iter_errors(read)]


def test_it_has_the_shape() -> None:
    assert faults(compose()) == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("relay", "health_check", {}),
        ("relay", "user", "root"),
        ("relay", "user", "0:0"),
        ("relay", "restart", "always"),
        ("kafka", "image", "apache/kafka:latest"),
        ("kafka", "image", "apache/kafka"),
        ("nginx", "ports", ["8001:8001"]),
        ("nginx", "ports", ["0.0.0.0:8001:8001"]),
        ("postgres", "deploy", {"resources": {"limits": {"cpus": "1"}}}),
        ("valkey", "healthcheck", {"test": []}),
    ],
)
def test_another_shape_is_found(service: str, key: str, value: Any) -> None:
    wrong = copy.deepcopy(compose())
    wrong["services"][service][key] = value
    assert faults(wrong) != []


@pytest.mark.parametrize("key", ["user", "healthcheck", "deploy", "restart", "logging", "networks"])
def test_a_service_without_it_is_found(key: str) -> None:
    wrong = copy.deepcopy(compose())
    del wrong["services"]["worker"][key]
    assert faults(wrong) != []


def test_every_service_is_there_as_often_as_it_should_be() -> None:
    assert {name: service["deploy"].get("replicas", 1) for name, service in services().items()} == EXPECTED


def test_every_command_of_ours_runs_a_part_that_there_is() -> None:
    commands = {name: service["command"] for name, service in our_services().items()}
    assert len(commands) == 7
    for name, command in commands.items():
        assert command == [*PART_COMMAND, name]
        assert name in PARTS


def test_somebody_keeps_search_and_nobody_but_the_workers_the_views() -> None:
    follows = {name: each["environment"].get("COUNTERFOIL_PROJECTOR_FOLLOWS") for name, each in our_services().items()}
    assert follows["projector"] == "search"


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {variable(field) for field in Settings.model_fields}
    for name, service in our_services().items():
        assert set(service["environment"]) <= known, name


def test_every_secret_is_asked_for_and_stands_in_the_example() -> None:
    text = (PROJECT / "compose.yaml").read_text()
    example = (PROJECT / ".env.example").read_text()
    asked = set(ASKED.findall(text))

    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert {variable(field) for field in ("jwt_secret", "session_secret", "webhook_secret")} < asked
    for line in text.splitlines():
        if re.search(r"(SECRET|PASSWORD)\w*: ", line):
            assert ASKED.search(line), line


def test_every_part_is_asked_for_its_health_on_the_port_it_listens_on() -> None:
    fields = Settings.model_fields
    for name, service in our_services().items():
        if service["restart"] == "no":
            assert service["healthcheck"] == {"disable": True}  # it ends, and its exit code says how
        else:
            port = fields[PORTS.get(name, f"{name}_port")].default
            assert service["healthcheck"]["test"] == ["CMD", "python", "healthy.py", str(port)]


def test_what_a_service_names_is_there() -> None:
    read = compose()
    for name, service in services().items():
        assert set(service.get("depends_on", {})) <= set(read["services"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (PROJECT / source).is_file() if source.startswith("./") else source in read["volumes"], volume
    for url in our_services()["worker"]["environment"].values():
        host = re.search(r"(?:@|://|^)([a-z-]+):\d+", url)
        if host and not ASKED.fullmatch(url):
            assert host[1] in read["services"], url


def test_only_the_two_apis_can_be_reached_from_this_machine_and_nothing_from_others() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {"nginx": ["127.0.0.1:8001:8001", "127.0.0.1:8002:8002"]}
    assert [name for name, service in services().items() if "outside" in service["networks"]] == ["nginx"]
    assert compose()["networks"]["inside"] == {"internal": True}


def test_who_waits_for_a_service_waits_for_what_it_does() -> None:
    for name, service in services().items():
        for other, how in service.get("depends_on", {}).items():
            ends = services()[other]["restart"] == "no"
            expected = "service_completed_successfully" if ends else "service_healthy"
            assert how["condition"] == expected, (name, other)


def test_it_runs_the_versions_that_the_tests_run() -> None:
    images = {name: service["image"].partition(":")[2] for name, service in services().items()}
    assert images["kafka"] == pinned("kafka")
    assert images["opensearch"] == pinned("opensearch").rpartition(".")[0]  # the artifact's own number comes last


def pinned(name: str) -> str:
    """The version of the first dependency of the POM."""
    text = (PROJECT / "ops" / name / "pom.xml").read_text()
    found = re.search(r"<dependencies>.*?<version>([\d.]+)</version>", text, re.DOTALL)
    assert found
    return found[1]


def test_nginx_passes_on_to_the_apis_and_answers_for_itself() -> None:
    text = (PROJECT / "ops/nginx/nginx.conf").read_text()
    listens = set(re.findall(r"listen ([\d.:]+);", text))
    upstreams = set(re.findall(r"set \$\w+ ([\w-]+);", text))
    assert listens == {"8001", "8002", "127.0.0.1:8080"}
    assert upstreams == {"command-api", "query-api"}
    assert "http://127.0.0.1:8080/healthz" in services()["nginx"]["healthcheck"]["test"]


def test_nginx_sends_no_command_to_a_second_replica() -> None:
    """Not even with a method that nginx calls idempotent, as PUT and DELETE: the first replica may have done it."""
    text = (PROJECT / "ops/nginx/nginx.conf").read_text()
    assert next_upstream(text) == {"command-api": {"off"}, "query-api": {"error timeout"}}
    assert not re.search(r"(?m)^\s*upstream\b", text), "what is not passed on by a variable is not looked at here"


@pytest.mark.parametrize(
    ("anywhere", "in_server", "in_location", "found"),
    [
        ("", "", "", "error timeout"),  # nginx's own default
        ("proxy_next_upstream off;", "", "", "off"),
        ("proxy_next_upstream off;", "proxy_next_upstream error;", "", "error"),
        ("", "proxy_next_upstream off;", "proxy_next_upstream error non_idempotent;", "error non_idempotent"),
        ("# proxy_next_upstream off;", "", "", "error timeout"),
    ],
)
def test_what_counts_is_the_innermost(anywhere: str, in_server: str, in_location: str, found: str) -> None:
    server = f"{in_server}\nlocation / {{ set $it api; {in_location}\nproxy_pass http://$it:1; }}"
    assert next_upstream(f"http {{\n{anywhere}\nserver {{\n{server}\n}}\n}}") == {"api": {found}}


def next_upstream(text: str) -> dict[str, set[str]]:
    """By service: what `proxy_next_upstream` is where a request is passed on to it."""
    found: dict[str, set[str]] = {}
    blocks: list[dict[str, str]] = [{"proxy_next_upstream": "error timeout"}]
    passed_on: list[tuple[str, dict[str, str]]] = []
    for token in re.findall(r"[^;{}]+[;{]|}", re.sub(r"#[^\n]*", "", text)):
        if token == "}":
            block = blocks.pop()
            while passed_on and passed_on[-1][1] is block:
                _, of_block = passed_on.pop()
                effective = next(b for b in (of_block, *reversed(blocks)) if "proxy_next_upstream" in b)
                found.setdefault(of_block["service"], set()).add(effective["proxy_next_upstream"])
            continue
        if token.endswith("{"):
            blocks.append({})
            continue
        name, _, value = " ".join(token.rstrip(";").split()).partition(" ")
        if name == "set":
            blocks[-1]["service"] = value.split()[1]
        elif name == "proxy_next_upstream":
            blocks[-1][name] = value
        elif name == "proxy_pass":
            passed_on.append((value, blocks[-1]))
    return found


def test_with_stripe_the_command_api_has_what_it_needs_and_nobody_else_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    beside: dict[str, Any] = yaml.safe_load((PROJECT / "ops/compose.stripe.yaml").read_text())["services"]
    assert set(beside) == {"command-api", "provider"}
    assert beside["provider"] == {"profiles": ["built-in"]}
    assert not any("provider" in service.get("depends_on", {}) for service in services().values())
    merged = our_services()["command-api"]["environment"] | beside["command-api"]["environment"]
    for name, value in merged.items():
        if "$" not in value or ASKED.fullmatch(value):
            monkeypatch.setenv(name, "s" * 32 if "$" in value else value)
    settings = Settings(var=tmp_path)
    assert (settings.payments, settings.embeds_provider) == ("stripe", False)
    assert set(beside["command-api"]["networks"]) == {"inside", "outside"} <= set(compose()["networks"])


def test_the_provider_sends_its_events_to_the_command_api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in our_services()["provider"]["environment"].items():
        if ASKED.fullmatch(value):
            monkeypatch.setenv(name, "s" * 32)
        elif "$" not in value:
            monkeypatch.setenv(name, value)
    port = Settings(var=tmp_path).command_port
    assert Settings(var=tmp_path).webhook_target == f"http://command-api:{port}/v1/webhooks/payments"

    monkeypatch.delenv("COUNTERFOIL_WEBHOOK_URL")

    assert Settings(var=tmp_path).webhook_target == f"http://127.0.0.1:{port}/v1/webhooks/payments"


def has_docker_compose() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    return asked.returncode == 0


# Where it is not installed there is no such test, and the shape above has to do.
if has_docker_compose():

    def test_docker_compose_takes_it(tmp_path: Path) -> None:
        asked = ASKED.findall((PROJECT / "compose.yaml").read_text())
        subprocess.run(
            ["docker", "compose", "--file", PROJECT / "compose.yaml", "config", "--quiet"],
            cwd=tmp_path,
            env=dict(os.environ) | dict.fromkeys(asked, "0" * 32),
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
