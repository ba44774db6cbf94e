"""The relay's table: how far Kafka has everything, and which leader may say so."""

CREATE = """
CREATE SCHEMA relay;

-- One row. Every leader counts the epoch up when it takes over: only the present one may move the position.
CREATE TABLE relay.checkpoint (
    is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    epoch bigint NOT NULL,
    position bigint NOT NULL,
    saved_at timestamptz NOT NULL
);
INSERT INTO relay.checkpoint (epoch, position, saved_at) VALUES (0, 0, now());
"""
