from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from counterfoil.payment_provider import clerk as clerk_module
from counterfoil.payment_provider.books import Books, UnknownPayment
from counterfoil.payment_provider.clerk import Clerk
from counterfoil.payment_provider.tokens import plan_for
from counterfoil.payment_provider.wire import Amount, AuthoriseRequest, Payment

T = TypeVar("T")


class WatchedBooks(Books):
    """`batches` are the calls that were written together; the first one waits until `go_on` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.batches: list[int] = []
        self.go_on = threading.Event()

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T | Exception]:
        self.batches.append(len(calls))
        assert self.go_on.wait(10)
        return super().together(calls)


@pytest.fixture
def books(tmp_path: Path) -> WatchedBooks:
    return WatchedBooks(tmp_path / "books.sqlite")


@pytest.fixture
def clerk(books: WatchedBooks) -> Iterator[Clerk]:
    clerk = Clerk(books)
    yield clerk
    books.go_on.set()
    clerk.close()


def authorise(books: Books, key: str) -> Payment:
    return books.authorise(key, AuthoriseRequest("o", Amount(1, "GBP"), "tok_ok"), plan_for("tok_ok"), 1.0, 1.0)[0]


async def asked(clerk: Clerk, work: Callable[[], T]) -> asyncio.Task[T]:
    task = asyncio.create_task(clerk.do(work))
    await asyncio.sleep(0)
    return task


async def test_what_comes_in_while_the_disk_is_waited_for_is_written_together(
    clerk: Clerk, books: WatchedBooks
) -> None:
    first = await asked(clerk, lambda: authorise(books, "first"))
    others = [await asked(clerk, lambda n=n: authorise(books, f"k{n}")) for n in range(5)]  # type: ignore[misc]
    unknown = await asked(clerk, lambda: books.find("nobody"))
    books.go_on.set()

    assert [(await task).key for task in (first, *others)] == ["first", "k0", "k1", "k2", "k3", "k4"]
    with pytest.raises(UnknownPayment):
        await unknown
    assert books.batches == [1, 6]


async def test_a_batch_has_a_limit(clerk: Clerk, books: WatchedBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clerk_module, "BATCH_SIZE_CALLS", 2)
    tasks = [await asked(clerk, books.next_delivery_at) for _ in range(6)]
    books.go_on.set()

    await asyncio.gather(*tasks)

    assert books.batches == [1, 2, 2, 1]


async def test_who_has_gone_is_written_all_the_same_and_keeps_nobody_waiting(clerk: Clerk, books: WatchedBooks) -> None:
    first = await asked(clerk, lambda: authorise(books, "first"))
    gone = await asked(clerk, lambda: authorise(books, "gone"))
    last = await asked(clerk, lambda: authorise(books, "last"))
    for task in (first, gone):
        task.cancel()
    await asyncio.gather(first, gone, return_exceptions=True)
    books.go_on.set()

    assert (await last).status == "authorised"
    assert [(await clerk.do(books.find, key)).status for key in ("first", "gone")] == ["authorised"] * 2


async def test_a_disk_that_fails_is_told_to_all_of_a_batch_and_tried_again_by_the_next(
    clerk: Clerk, books: WatchedBooks
) -> None:
    def fail() -> Payment:
        raise sqlite3.OperationalError("database or disk is full")

    first = await asked(clerk, lambda: authorise(books, "first"))
    batch = [await asked(clerk, lambda: authorise(books, "k")), await asked(clerk, fail)]
    books.go_on.set()

    assert (await first).status == "authorised"
    for outcome in await asyncio.gather(*batch, return_exceptions=True):
        assert isinstance(outcome, sqlite3.OperationalError)
    with pytest.raises(UnknownPayment):
        await clerk.do(books.find, "k")
