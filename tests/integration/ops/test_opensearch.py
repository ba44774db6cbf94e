"""OpenSearch as the tests have it: it indexes, finds and keeps documents."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from ops.server import Server

pytestmark = pytest.mark.long
TIMEOUT_SECONDS = 60
MAPPING = {
    "settings": {
        "number_of_shards": 1,
        "number_of_replicas": 0,
        "analysis": {
            "filter": {"english": {"type": "stemmer", "language": "english"}},
            "analyzer": {"plain": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "english"]}},
        },
    },
    "mappings": {"properties": {"title": {"type": "text", "analyzer": "plain"}, "sold": {"type": "integer"}}},
}


@contextmanager
def client_of(url: str) -> Iterator[OpenSearch]:
    client = OpenSearch(url, timeout=TIMEOUT_SECONDS)
    try:
        yield client
    finally:
        client.close()


def an_index(client: OpenSearch) -> str:
    name = f"test-{uuid.uuid4().hex}"
    client.indices.create(index=name, body=MAPPING)
    return name


def found(client: OpenSearch, index: str, text: str) -> list[str]:
    answer: dict[str, Any] = client.search(index=index, body={"query": {"match": {"title": text}}})
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_a_document_is_found_by_another_form_of_its_words(opensearch_url: str) -> None:
    with client_of(opensearch_url) as client:
        index = an_index(client)
        client.index(index=index, id="LAMP-1", body={"title": "Desk lamps, two"}, refresh=True)

        assert found(client, index, "lamp") == ["LAMP-1"]
        assert found(client, index, "table") == []


def test_scripts_and_updates_by_query_are_there(opensearch_url: str) -> None:
    with client_of(opensearch_url) as client:
        index = an_index(client)
        client.index(index=index, id="LAMP-1", body={"title": "Desk lamp", "sold": 1}, refresh=True)
        sold = {"script": {"source": "ctx._source.sold += params.n", "params": {"n": 2}}, "query": {"match_all": {}}}

        client.update_by_query(index=index, body=sold, refresh=True)

        assert client.get(index=index, id="LAMP-1")["_source"]["sold"] == 3


def test_a_killed_one_has_its_documents_when_it_is_back(own_opensearch: Server) -> None:
    address = own_opensearch.address
    with client_of(f"http://{address}") as client:
        index = an_index(client)
        client.index(index=index, id="LAMP-1", body={"title": "Desk lamp"}, refresh=True)

        own_opensearch.kill()
        assert own_opensearch.pid is None
        own_opensearch.start()

        assert own_opensearch.address == address
        assert found(client, index, "lamp") == ["LAMP-1"]
