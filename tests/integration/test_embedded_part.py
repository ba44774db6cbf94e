"""One part at a time, without servers: the pauses before a restart, the bounds of a stop, what is kept of its words."""

import asyncio
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.journal import Journal, Screen
from counterfoil.embedded.launch import Launch
from counterfoil.embedded.part import KeptPart, Part
from counterfoil.embedded.supervisor import Supervisor


def part(script: str, name: str = "stand-in", is_ready: Callable[[], bool] = lambda: True) -> Part:
    launch = Launch(command=(sys.executable, "-c", script), environment=dict(os.environ))
    return Part(name, lambda: launch, is_ready)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with (tmp_path / "console").open("w", buffering=1) as console:
        journal = Journal(tmp_path / "log", Screen(file=console, width=200))
        yield journal
        journal.close()


async def test_the_pause_before_a_restart_doubles(journal: Journal, tmp_path: Path) -> None:
    kept = KeptPart(part("raise SystemExit(3)"), journal, first_delay_seconds=0.01)
    keeping = asyncio.create_task(kept.keep())
    async with asyncio.timeout(10):
        while kept.ends_count < 4:  # noqa: ASYNC110 (the count is what it shows)
            await asyncio.sleep(0.01)
        await kept.stop(1)
        await keeping
    entries = [json.loads(line) for line in journal.path("supervisor").read_text().splitlines()]
    delays = [entry["delay_seconds"] for entry in entries if "delay_seconds" in entry]
    assert delays[:4] == [0.01, 0.02, 0.04, 0.08]
    assert "ended with exit code 3" in entries[-1]["event"]


async def test_the_pause_has_a_limit(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.embedded.part._MAX_DELAY_SECONDS", 0.02)
    kept = KeptPart(part("raise SystemExit(3)"), journal, first_delay_seconds=0.01)
    keeping = asyncio.create_task(kept.keep())
    async with asyncio.timeout(10):
        while kept.ends_count < 4:  # noqa: ASYNC110 (the count is what it shows)
            await asyncio.sleep(0.01)
        await kept.stop(1)
        await keeping
    entries = [json.loads(line) for line in journal.path("supervisor").read_text().splitlines()]
    assert [entry["delay_seconds"] for entry in entries if "delay_seconds" in entry][:4] == [0.01, 0.02, 0.02, 0.02]


async def test_after_a_good_run_the_pause_is_short_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.embedded.part._HEALTHY_AFTER_SECONDS", 0.0)
    kept = KeptPart(part("raise SystemExit(3)"), journal, first_delay_seconds=0.01)
    keeping = asyncio.create_task(kept.keep())
    async with asyncio.timeout(10):
        while kept.ends_count < 3:  # noqa: ASYNC110 (the count is what it shows)
            await asyncio.sleep(0.01)
        await kept.stop(1)
        await keeping
    entries = [json.loads(line) for line in journal.path("supervisor").read_text().splitlines()]
    assert {entry["delay_seconds"] for entry in entries if "delay_seconds" in entry} == {0.01}


def slow_to_launch(stand_in: Part, launching: threading.Event) -> Part:
    def launch() -> Launch:
        launching.set()
        time.sleep(0.3)
        return stand_in.launch()

    return Part(stand_in.name, launch, stand_in.is_ready)


async def test_a_stop_that_comes_while_it_is_being_started_ends_it_with_its_own_signal(
    journal: Journal, tmp_path: Path
) -> None:
    launching = threading.Event()
    kept = KeptPart(slow_to_launch(part("import time; time.sleep(60)"), launching), journal)
    keeping = asyncio.create_task(kept.keep())
    await asyncio.to_thread(launching.wait, 10)
    await kept.stop(10)
    await asyncio.wait_for(keeping, 10)
    assert kept.ends_count == 0
    said = journal.path("supervisor")  # absent where it had not been ready yet, and so nothing was said
    assert not said.exists() or "killed" not in said.read_text()


async def test_what_is_still_being_started_at_the_bound_of_a_stop_is_killed_then(journal: Journal) -> None:
    launching = threading.Event()
    heedless = part("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    kept = KeptPart(slow_to_launch(heedless, launching), journal)
    keeping = asyncio.create_task(kept.keep())
    await asyncio.to_thread(launching.wait, 10)
    await kept.stop(0.01)
    await asyncio.wait_for(keeping, 10)
    assert kept.pid is None


async def test_a_part_that_does_not_heed_its_signal_is_killed_at_the_bound(journal: Journal) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    said = journal.path("stand-in")
    supervisor = Supervisor(journal, stop_timeout_seconds=0.3)
    await supervisor.start([part(stubborn, is_ready=lambda: said.exists() and "up" in said.read_text())])
    (pid,) = supervisor.pids.values()
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began < 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "did not stop" in journal.path("supervisor").read_text()


async def test_a_part_that_is_not_ready_in_time_fails_the_start(journal: Journal) -> None:
    supervisor = Supervisor(journal, ready_timeout_seconds=1.5)
    with pytest.raises(CannotStartError, match="not ready within"):
        await supervisor.start([part("import time; time.sleep(60)", is_ready=lambda: False)])
    (pid,) = supervisor.pids.values()
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_was_started_last_is_stopped_first(journal: Journal, tmp_path: Path) -> None:
    script = """
import pathlib, signal, sys, time
def end(*_):
    with open({path!r}, "a") as file: file.write({name!r} + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path({path!r} + {name!r}).touch()
time.sleep(60)
"""
    ends = tmp_path / "ends"
    path = str(ends)
    supervisor = Supervisor(journal)
    for name in ("server", "api"):
        ready = Path(path + name).exists
        await supervisor.start([part(script.format(path=path, name=name), name, ready)])
    await supervisor.stop()
    assert ends.read_text().split() == ["api", "server"]


async def test_a_run_that_hangs_is_ended_at_the_bound(journal: Journal) -> None:
    launch = Launch(command=(sys.executable, "-c", "import time; time.sleep(60)"), environment={})
    began = time.monotonic()
    with pytest.raises(CannotStartError, match="was not done within"):
        await Supervisor(journal).run("migrate", launch, timeout_seconds=0.3)
    assert time.monotonic() - began < 5


async def test_all_that_a_part_says_is_kept_and_what_matters_is_shown(journal: Journal, tmp_path: Path) -> None:
    lines = [
        json.dumps({"level": "info", "event": "ordinary"}),
        json.dumps({"level": "error", "event": "projection stuck", "position": 17}),
        "x" * 100_000,
        "no newline at the end \N{POUND SIGN}",
    ]
    launch = Launch(
        command=(sys.executable, "-c", f"import sys; sys.stdout.write({chr(10).join(lines)!r})"), environment={}
    )
    await Supervisor(journal).run("stand-in", launch, timeout_seconds=10)
    kept = journal.path("stand-in").read_text()
    assert kept.count("x") >= 100_000
    assert lines[0] in kept
    assert lines[3] in kept
    shown = (tmp_path / "console").read_text()
    assert "projection stuck position=17" in shown
    assert "ordinary" not in shown


def test_the_log_files_have_a_limit(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.embedded.journal._FILE_MAX_BYTES", 1_000)
    for number in range(1_000):
        journal.heard("chatterbox", f"line {number}")
    files = list(journal.path("chatterbox").parent.glob("chatterbox*"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) <= 4_000
    assert "line 999" in journal.path("chatterbox").read_text()


async def test_the_last_words_are_the_errors_of_this_run_in_plain_text(journal: Journal) -> None:
    error = {"level": "error", "event": "stuck", "position": 17, "exception": "Traceback …\nValueError: broken"}
    lines = [json.dumps({"level": "info", "event": f"step {number}"}) for number in range(20)] + [json.dumps(error)]
    launch = Launch(
        command=(sys.executable, "-c", f"print({chr(10).join(lines)!r}); raise SystemExit(1)"), environment={}
    )
    with pytest.raises(CannotStartError) as refused:
        await Supervisor(journal).run("stand-in", launch, timeout_seconds=10)
    assert "  stuck position=17\n  Traceback …\n  ValueError: broken\n" in str(refused.value)
    assert "step" not in str(refused.value)


async def test_a_part_of_few_words_is_quoted_with_its_last_ones(journal: Journal) -> None:
    script = "for number in range(20): print('mumble', number, 'x' * number * 100)\nraise SystemExit(1)"
    launch = Launch(command=(sys.executable, "-c", script), environment={})
    with pytest.raises(CannotStartError) as refused:
        await Supervisor(journal).run("stand-in", launch, timeout_seconds=10)
    quoted = [line for line in str(refused.value).splitlines() if "mumble" in line]
    assert [line.split()[1] for line in quoted] == [str(number) for number in range(12, 20)]
    assert max(map(len, quoted)) < 320


async def test_a_console_that_has_gone_stops_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as gone:
        journal = Journal(tmp_path / "log", Screen(file=gone))
        journal.say("error", "stand-in", "first")
        journal.say("error", "stand-in", "second")
    assert "second" in journal.path("supervisor").read_text()
    journal.close()


async def test_a_part_that_lives_and_is_not_ready_any_more_is_told_and_let_be(journal: Journal, tmp_path: Path) -> None:
    sign = tmp_path / "ready"
    sign.touch()
    stand_in = part("import time; time.sleep(60)", is_ready=sign.exists)
    kept = KeptPart(stand_in, journal, watch_seconds=0.01)
    keeping = asyncio.create_task(kept.keep())
    async with asyncio.timeout(10):
        await kept.is_ready.wait()
        pid = kept.pid
        sign.unlink()
        while kept.is_ready.is_set():  # noqa: ASYNC110 (what it shows)
            await asyncio.sleep(0.01)
        sign.touch()
        await kept.is_ready.wait()
        assert kept.pid == pid
        await kept.stop(5)
        await keeping
    said = [json.loads(line)["event"] for line in journal.path("supervisor").read_text().splitlines()]
    assert [event.split(" (")[0] for event in said] == [
        "ready",
        "runs, but is not ready any more: see its /readyz",
        "back",
    ]
