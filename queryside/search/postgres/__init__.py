"""Search on Postgres full text: the embedded default, and the fallback of any other engine."""

from queryside.search.postgres.engine import PostgresSearch, open_postgres_search

__all__ = ["PostgresSearch", "open_postgres_search"]
