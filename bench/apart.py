"""Each contender in a process of its own, so that none inherits another's heap, threads or event loop."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any, Final

from counterfoil.collecting import collect_seldom

# The last to be ready starts all of them.
START_TIMEOUT_SECONDS: Final = 60.0
END_TIMEOUT_SECONDS: Final = 10.0

Begin = Callable[[], Any]
"""Blocks until every process of the run is ready."""


class ContenderFailed(Exception):
    """A contender raised, ended or did not end in time; there is no figure to be had from this run."""


def run_apart(contend: Callable[..., Any], *arguments: Any, processes_count: int = 1, timeout_seconds: float) -> Any:
    """What `contend(begin, process_number, *arguments)` returns, of each process, in a list.

    `contend` stands at the top of a module. Raises ContenderFailed.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes_count, timeout=START_TIMEOUT_SECONDS)
    pipes = [context.Pipe(duplex=False) for _ in range(processes_count)]
    processes = [
        context.Process(target=_contend, args=(sender, barrier, contend, number, arguments), daemon=True)
        for number, (_, sender) in enumerate(pipes)
    ]
    try:
        for process in processes:
            process.start()
        for _, sender in pipes:
            sender.close()
        return [_result(receiver, contend.__name__, timeout_seconds) for receiver, _ in pipes]
    finally:
        for process in processes:
            if process.pid is not None:
                process.join(END_TIMEOUT_SECONDS)
                process.kill()
                process.join(END_TIMEOUT_SECONDS)


def _result(receiver: Connection, name: str, timeout_seconds: float) -> Any:
    if not receiver.poll(timeout_seconds + START_TIMEOUT_SECONDS):
        raise ContenderFailed(f"{name} did not end within {timeout_seconds} s")
    try:
        failure, result = receiver.recv()
    except EOFError:
        raise ContenderFailed(f"{name}: its process ended without a word") from None
    if failure is not None:
        raise ContenderFailed(f"{name}: {failure}")
    return result


def _contend(
    sender: Connection, barrier: Barrier, contend: Callable[..., Any], number: int, arguments: tuple[Any, ...]
) -> None:
    collect_seldom()  # as the product's processes do; the references too
    try:
        sender.send((None, contend(barrier.wait, number, *arguments)))
    except BaseException as error:
        barrier.abort()
        sender.send((repr(error), None))
        raise
