"""Writes docs/schemas/ from the code: `.venv/bin/python -m tests.history.write_schemas`.

Refuses what a consumer of the published schema could stumble over: that is a new version of the event.
"""

from __future__ import annotations

import sys

from streams.schemas import ENVELOPE, event_schemas
from tests.history.schemas import ENVELOPE_NAME, SCHEMAS, incompatible_changes, published, text_of


def main() -> None:
    SCHEMAS.mkdir(exist_ok=True)
    made, before = event_schemas(), published()
    refused = [
        f"{name} {change}" for name in made for change in incompatible_changes(before.get(name, made[name]), made[name])
    ]
    if refused:
        sys.exit("An event has to look different under a new topic only:\n  " + "\n  ".join(refused))
    for name, schema in {**made, ENVELOPE_NAME: ENVELOPE}.items():
        if before.get(name) != schema:
            (SCHEMAS / f"{name}.json").write_text(text_of(schema), "utf-8")
            print(f"wrote {name}.json")


if __name__ == "__main__":
    main()
