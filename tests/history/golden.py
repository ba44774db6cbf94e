"""The golden files: events exactly as they were once stored, one file per topic. Files may be added, never changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

GOLDEN = Path(__file__).parent / "golden"
MANIFEST = GOLDEN / "MANIFEST"


@dataclass(frozen=True)
class GoldenEvent:
    """`state` is the JSON of the column, parsed."""

    topic: str
    originator_id: UUID
    originator_version: int
    state: Any

    @classmethod
    def of(cls, stored: StoredEvent) -> GoldenEvent:
        # Postgres has UUIDs only; the library's row would take strings as well.
        assert isinstance(stored.originator_id, UUID)
        return cls(stored.topic, stored.originator_id, stored.originator_version, json.loads(stored.state))

    @classmethod
    def load(cls, path: Path) -> GoldenEvent:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["originator_id"] = UUID(fields["originator_id"])
        return cls(**fields)

    def stored(self) -> StoredEvent:
        return StoredEvent(self.originator_id, self.originator_version, self.topic, json.dumps(self.state).encode())

    def text(self) -> str:
        fields = {**vars(self), "originator_id": str(self.originator_id)}
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def golden_files(folder: Path = GOLDEN) -> dict[str, Path]:
    """By topic, which is also the file's name."""
    return {path.name.removesuffix(".json"): path for path in sorted(folder.glob("*.json"))}


def read_manifest(manifest: Path = MANIFEST) -> dict[str, str]:
    """SHA-256 in hexadecimal by file name, as `sha256sum` writes it."""
    lines = manifest.read_text(encoding="utf-8").splitlines() if manifest.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def write_manifest(digests: Mapping[str, str], manifest: Path = MANIFEST) -> None:
    manifest.write_text("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)), encoding="utf-8")


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def changed_files(folder: Path, manifest: Mapping[str, str]) -> list[str]:
    """What is not as the manifest has it: changed, removed, or never entered."""
    present = {path.name: digest_of(path) for path in golden_files(folder).values()}
    return sorted(name for name in present.keys() | manifest.keys() if present.get(name) != manifest.get(name))
