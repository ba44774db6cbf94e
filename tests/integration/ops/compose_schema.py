"""The shape of compose.yaml: what we use of the Compose specification and nothing else, so that a slip is found."""

from __future__ import annotations

from typing import Any

DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}
SIZE = {"type": "string", "pattern": r"^\d+[MG]$"}
WORD = {"type": "string", "minLength": 1}
WORDS = {"type": "array", "items": WORD, "minItems": 1}
CONDITIONS = ["service_healthy", "service_completed_successfully"]


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    """An object with these keys and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def any_names(of: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": of, "minProperties": 1}


LIMITS = closed(
    ["cpus", "memory", "pids"],
    cpus={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    memory=SIZE,
    pids={"type": "integer", "minimum": 1},
)
HEALTH_CHECK = {
    "oneOf": [
        closed(["disable"], disable={"const": True}),
        closed(
            ["test", "interval", "timeout", "retries", "start_period"],
            test={
                "type": "array",
                "prefixItems": [{"enum": ["CMD", "CMD-SHELL"]}],
                "items": WORD,
                "minItems": 2,
            },
            interval=DURATION,
            timeout=DURATION,
            retries={"type": "integer", "minimum": 1},
            start_period=DURATION,
            start_interval=DURATION,
        ),
    ]
}
SERVICE = closed(
    [
        "image", "user", "restart", "stop_grace_period", "init", "cap_drop", "security_opt", "logging", "networks",
        "healthcheck", "deploy",
    ],
    image={"type": "string", "pattern": r"^[a-z/]+:\d[\w.-]*$"},  # a version, never "latest"
    build=closed(["context"], context={"const": "."}),
    user={"type": "string", "pattern": r"^(?!root|0(:|$))\w+(:\w+)?$"},
    restart={"enum": ["unless-stopped", "no"]},
    stop_grace_period=DURATION,
    init={"const": True},
    read_only={"const": True},
    cap_drop={"const": ["ALL"]},
    security_opt={"const": ["no-new-privileges:true"]},
    logging=closed(
        ["driver", "options"],
        driver={"const": "json-file"},
        options=closed(["max-size", "max-file"], **{"max-size": WORD, "max-file": WORD}),
    ),
    networks={"type": "array", "items": {"enum": ["inside", "outside"]}, "minItems": 1},
    ports={"type": "array", "items": {"type": "string", "pattern": r"^127\.0\.0\.1:\d+:\d+$"}},
    command=WORDS,
    environment=any_names({"type": "string"}),
    tmpfs=WORDS,
    volumes=WORDS,
    shm_size={"type": "string", "pattern": r"^\d+m$"},
    ulimits=any_names(closed(["soft", "hard"], soft={"type": "integer"}, hard={"type": "integer"})),
    depends_on=any_names(closed(["condition"], condition={"enum": CONDITIONS})),
    healthcheck=HEALTH_CHECK,
    deploy=closed(
        ["resources"],
        replicas={"type": "integer", "minimum": 1},
        resources=closed(["limits"], limits=LIMITS),
    ),
)  # fmt: skip
COMPOSE = {
    "type": "object",
    "properties": {
        "name": WORD,
        "services": any_names(SERVICE),
        "volumes": any_names({"type": "null"}),
        "networks": any_names({"oneOf": [{"type": "null"}, closed(["internal"], internal={"const": True})]}),
    },
    "patternProperties": {"^x-": {}},
    "required": ["name", "services", "volumes", "networks"],
    "additionalProperties": False,
}
