from __future__ import annotations

from dataclasses import dataclass

LEAST_COMMANDS = 24
_SMOOTHING = 1 / 8


@dataclass(slots=True)
class Overlap:
    """Whether to commit a part of what waits while the rest is decided, or all of it at once.

    An append costs a, and b an event. All at once take decide + a + b; in two parts, of which one is decided while the
    other is committed, 2a + b: that pays while to decide takes longer than a. It is known of neither alone: an append
    that takes less than twice the deciding is taken for one whose a is small.
    """

    commit_seconds: float = 0.0
    decide_seconds_per_command: float = 0.0

    def note(self, decide_seconds: float, commands_count: int, commit_seconds: float) -> None:
        self.commit_seconds += (commit_seconds - self.commit_seconds) * _SMOOTHING
        per_command = decide_seconds / commands_count
        self.decide_seconds_per_command += (per_command - self.decide_seconds_per_command) * _SMOOTHING

    def pays(self, commands_count: int, part_count: int) -> bool:
        """`commands_count` go round, `part_count` of them are to be committed next."""
        if part_count < LEAST_COMMANDS:
            return False
        return self.commit_seconds < 2 * self.decide_seconds_per_command * commands_count
