"""What goes wrong: as data, so that a history can be told with fewer of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Point = Literal["append", "call", "webhook"]
FaultKind = Literal[
    # at an append
    "crash_before_append",
    "crash_after_append",
    "append_refused",
    "append_unacknowledged",
    "append_late",
    # at a call to the provider
    "crash_before_call",
    "crash_after_call",
    "call_refused",
    "call_doubled",
    "reply_lost",
    "reply_late",
    "provider_goes_dark",
    # at a webhook
    "webhook_late",
    "webhook_doubled",
    "webhook_answer_lost",
    # at a time
    "store_away",
    "provider_away",
    "clock_off",
    "time_jump",
    "restart",
    # at a time, where the read models are fed over a bus
    "relay_changes",
    "worker_dies",
    "bus_away",
]
POINTS: Final[dict[FaultKind, Point]] = {
    "crash_before_append": "append",
    "crash_after_append": "append",
    "append_refused": "append",
    "append_unacknowledged": "append",
    "append_late": "append",
    "crash_before_call": "call",
    "crash_after_call": "call",
    "call_refused": "call",
    "call_doubled": "call",
    "reply_lost": "call",
    "reply_late": "call",
    "provider_goes_dark": "call",
    "webhook_late": "webhook",
    "webhook_doubled": "webhook",
    "webhook_answer_lost": "webhook",
}
ANY_PROCESS: Final = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """Happens at the first occasion from `at_seconds` on, `skip_count` occasions later.

    `seconds` is how long it lasts, how late something comes, or by how much a clock is off.
    """

    kind: FaultKind
    at_seconds: float
    process: int = ANY_PROCESS
    skip_count: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        where = "" if self.process == ANY_PROCESS else f" in process {self.process}"
        later = f", {self.skip_count} occasions later" if self.skip_count else ""
        long = f", {self.seconds:g} s" if self.seconds else ""
        return f"{self.kind.replace('_', ' ')}{where} from {self.at_seconds:.3f} s on{later}{long}"


class _Armed:
    __slots__ = ("fault", "left_count")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left_count = fault.skip_count


class Adversity:
    """The faults that are still to come. `occasions_count` counts appends and calls, whether or not one failed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        ordered = sorted(faults, key=lambda fault: fault.at_seconds)
        self._armed: dict[Point, list[_Armed]] = {"append": [], "call": [], "webhook": []}
        self.timed = [fault for fault in ordered if fault.kind not in POINTS]
        for fault in ordered:
            if fault.kind in POINTS:
                self._armed[POINTS[fault.kind]].append(_Armed(fault))
        self.occasions_count: dict[Point, int] = {"append": 0, "call": 0, "webhook": 0}
        self.happened: list[tuple[float, Fault]] = []

    def strike(self, point: Point, process: int, now_seconds: float) -> Fault | None:
        """The fault that happens at this occasion, if one does."""
        self.occasions_count[point] += 1
        armed = self._armed[point]
        if not armed or armed[0].fault.at_seconds > now_seconds:
            return None
        for place, one in enumerate(armed):
            if one.fault.at_seconds > now_seconds:
                break
            if one.fault.process in (ANY_PROCESS, process):
                if one.left_count == 0:
                    del armed[place]
                    self.note(now_seconds, one.fault)
                    return one.fault
                one.left_count -= 1
        return None

    def note(self, now_seconds: float, fault: Fault) -> None:
        self.happened.append((now_seconds, fault))

    def end(self) -> None:
        """From now on nothing goes wrong."""
        for armed in self._armed.values():
            armed.clear()
