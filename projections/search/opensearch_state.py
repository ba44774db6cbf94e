"""What OpenSearch says of itself: which generation of the indexes is live, and how far each one has come.

The live one is the one that the aliases point to. The rest lies beside the indexes, so that what loses the one loses
the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError

from projections.search.opensearch_index import STATE, Names

_BUILDING: Final = "building"
_THERE_ALREADY: Final = "resource_already_exists_exception"


@dataclass(frozen=True, slots=True)
class Progress:
    """All changes of `tables_id` up to the two revisions are in; all up to `position` can be found."""

    tables_id: str
    products_revision: int = 0
    suggestions_revision: int = 0
    position: int = 0


class IndexState:
    """Every method raises opensearchpy's TransportError."""

    def __init__(self, client: AsyncOpenSearch, names: Names) -> None:
        self._client = client
        self._names = names

    async def make(self) -> None:
        """Where it is not there yet."""
        body = {"settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}}, "mappings": STATE}
        try:
            await self._client.indices.create(index=self._names.state, body=body)
        except RequestError as error:
            if error.error != _THERE_ALREADY:
                raise

    async def live(self) -> int | None:
        try:
            found = await self._client.indices.get_alias(name=self._names.products)
        except NotFoundError:
            return None
        (index,) = found
        return int(index.rpartition("-")[2])

    async def building(self) -> int | None:
        found = await self._get(_BUILDING)
        return found["generation"] if found else None

    async def name_building(self, generation: int) -> None:
        await self._put(_BUILDING, {"generation": generation})

    async def no_longer_building(self) -> None:
        try:
            await self._client.delete(index=self._names.state, id=_BUILDING)
        except NotFoundError:
            return

    async def progress(self, generation: int) -> Progress | None:
        found = await self._get(str(generation))
        return msgspec.convert(found, Progress) if found else None

    async def save(self, generation: int, progress: Progress) -> None:
        await self._put(str(generation), msgspec.to_builtins(progress))

    async def live_position(self) -> int:
        """Up to which position of the log everything can be found; 0 where there is no index."""
        generation = await self.live()
        progress = await self.progress(generation) if generation is not None else None
        return progress.position if progress else 0

    async def _get(self, id: str) -> dict[str, Any] | None:
        try:
            found = await self._client.get(index=self._names.state, id=id)
        except NotFoundError:
            return None
        source: dict[str, Any] = found["_source"]
        return source

    async def _put(self, id: str, document: dict[str, Any]) -> None:
        await self._client.index(index=self._names.state, id=id, body=document)
