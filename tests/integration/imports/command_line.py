from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND_TIMEOUT_SECONDS = 100


@dataclass(frozen=True)
class CommandLine:
    """`counterfoil import …`, on these servers. The output of a process that is begun goes to `log`."""

    var: Path
    database_url: str
    provider_url: str

    @property
    def log(self) -> Path:
        return self.var.with_name("import.log")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as output:
            return subprocess.Popen(
                self._command(*arguments), env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "counterfoil", "import", *arguments]

    @property
    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "_URL" not in name and "COUNTERFOIL" not in name}
        given = {"DATABASE_URL": self.database_url, "COUNTERFOIL_PROVIDER_URL": self.provider_url}
        return kept | {"PYTHONPATH": str(ROOT), "COUNTERFOIL_VAR": str(self.var)} | given
