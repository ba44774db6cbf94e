"""Generations of the indexes: the next is made beside the live one, and swapped in by moving the aliases at once."""

from __future__ import annotations

from opensearchpy import AsyncOpenSearch

from projections.search.opensearch_index import PRODUCTS, SUGGESTIONS, Names, index_body
from projections.search.opensearch_state import IndexState


async def begin(state: IndexState) -> int:
    """The generation that is being built: the one that was begun before, else a new one. Raises TransportError."""
    await state.make()
    generation = await state.building()
    if generation is None:
        generation = (await state.live() or 0) + 1
        await state.name_building(generation)
    return generation


async def make(client: AsyncOpenSearch, names: Names, generation: int) -> None:
    """Empty, whatever was there by that number. Raises TransportError."""
    for alias, mappings in ((names.products, PRODUCTS), (names.suggestions, SUGGESTIONS)):
        index = names.generation(alias, generation)
        await client.indices.delete(index=index, params={"ignore_unavailable": "true"})
        await client.indices.create(index=index, body=index_body(mappings))


async def refresh(client: AsyncOpenSearch, names: Names, generation: int) -> None:
    """Makes what was written searchable. Raises TransportError."""
    indexes = [names.generation(alias, generation) for alias in (names.products, names.suggestions)]
    await client.indices.refresh(index=",".join(indexes))


async def swap(client: AsyncOpenSearch, names: Names, state: IndexState, generation: int) -> None:
    """From one moment to the next readers have the new one. The one before is kept, older ones go.

    Raises TransportError. Done again after it broke off, it does the rest.
    """
    actions: list[dict[str, object]] = []
    for alias in (names.products, names.suggestions):
        actions.append({"remove": {"index": f"{alias}-*", "alias": alias, "must_exist": False}})
        actions.append({"add": {"index": names.generation(alias, generation), "alias": alias}})
    await client.indices.update_aliases(body={"actions": actions})
    await state.no_longer_building()
    if generation > 2:
        gone = [names.generation(alias, generation - 2) for alias in (names.products, names.suggestions)]
        await client.indices.delete(index=",".join(gone), params={"ignore_unavailable": "true"})
