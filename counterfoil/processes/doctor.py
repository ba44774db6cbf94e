"""`counterfoil doctor`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from counterfoil.doctor.examination import CannotLook, Examination, examine
from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.running import NotRunningError, connected
from counterfoil.part import load_settings

if TYPE_CHECKING:
    from counterfoil.settings import Settings

HEALTHY: Final = 0
TROUBLED: Final = 1
COULD_NOT_LOOK: Final = 2


def main(*, as_json: bool) -> int:
    """HEALTHY, TROUBLED, or COULD_NOT_LOOK, with the reason on stderr."""
    try:
        examination = asyncio.run(examine(_settings()))
    except (CannotStartError, CannotLook) as error:
        sys.stderr.write(f"Could not look: {error}\n")
        return COULD_NOT_LOOK
    if as_json:
        print(msgspec.json.encode(_plain(examination)).decode())
    else:
        _show(examination, Console())
    return TROUBLED if examination.count else HEALTHY


def _settings() -> Settings:
    """With the addresses of the running shop; Postgres alone will do. Raises CannotStartError."""
    settings = load_settings()
    try:
        return connected(settings)
    except NotRunningError:
        if settings.database_url is None:
            raise
        return settings


def _plain(examination: Examination) -> dict[str, Any]:
    checks = [
        {
            "check": finding.check.name,
            "bound": finding.check.bound,
            "count": finding.count,
            "advice": finding.check.advice,
            "troubles": [
                {name: value for name, value in asdict(trouble).items() if name != "check"}
                for trouble in finding.troubles
            ],
        }
        for finding in examination.findings
    ]
    return {
        "asked_at": examination.asked_at,
        "healthy": examination.count == 0,
        "checks": checks,
        "not_asked": examination.not_asked,
        "seconds": examination.seconds,
    }


def _show(examination: Examination, console: Console) -> None:
    checks = Table("check", "may be no older than", "found")
    checks.columns[2].justify = "right"
    for finding in examination.findings:
        count = f"[red]{finding.count:,}[/red]" if finding.count else "0"
        checks.add_row(finding.check.name, finding.check.bound, count)
    console.print(checks)
    for finding in examination.findings:
        if finding.count:
            _say(console, f"\n[bold]{finding.check.name}[/bold]: {escape(finding.check.advice)}")
            for trouble in finding.troubles:
                since = "" if trouble.since is None else f", {_age(examination.asked_at, trouble.since)}"
                _say(console, f"  {escape(trouble.what)}: {escape(trouble.detail)}{since}")
            if finding.count > len(finding.troubles):
                _say(console, f"  … and {finding.count - len(finding.troubles):,} more.")
    for away in examination.not_asked:
        _say(console, f"Not asked: {escape(away)}.")
    told = f"{examination.count:,} things are older than they may be." if examination.count else "There is nothing."
    _say(console, f"{told} Looked for {sum(examination.seconds.values()):.1f} s.")


def _say(console: Console, text: str) -> None:
    """On one line, however narrow the terminal: an id is never cut."""
    console.print(text, highlight=False, soft_wrap=True)


def _age(now: datetime, since: datetime) -> str:
    return f"since {since:%Y-%m-%d %H:%M:%S} UTC ({(now - since).total_seconds():,.0f} s)"
