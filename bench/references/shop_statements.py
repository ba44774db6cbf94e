"""The tables of the reference shop, and each of its steps as one statement: one round trip, one transaction."""

from __future__ import annotations

from typing import Final

CREATE: Final = """
CREATE SCHEMA shop;
CREATE TABLE shop.products (sku text PRIMARY KEY, title text NOT NULL, price bigint NOT NULL, active boolean NOT NULL);
CREATE TABLE shop.stock (
    sku text PRIMARY KEY REFERENCES shop.products,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL DEFAULT 0,
    CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 20);
CREATE TABLE shop.carts (
    cart_id uuid PRIMARY KEY,
    owner text NOT NULL UNIQUE,
    version bigint NOT NULL,
    checkout_order_id uuid
) WITH (fillfactor = 70);
CREATE TABLE shop.cart_items (
    cart_id uuid NOT NULL REFERENCES shop.carts,
    sku text NOT NULL REFERENCES shop.products,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (cart_id, sku)
);
CREATE TABLE shop.orders (
    order_id uuid PRIMARY KEY,
    cart_id uuid NOT NULL,
    owner text NOT NULL,
    status text NOT NULL,
    total bigint NOT NULL,
    shipping_address jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    placed_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX orders_owner_idx ON shop.orders (owner, created_at);
CREATE TABLE shop.order_lines (
    order_id uuid NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity bigint NOT NULL,
    unit_price bigint NOT NULL,
    PRIMARY KEY (order_id, sku)
);
CREATE TABLE shop.payments (
    order_id uuid PRIMARY KEY,
    amount bigint NOT NULL,
    token text NOT NULL,
    status text NOT NULL,
    reference text,
    captured bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE TABLE shop.idempotency_keys (
    owner text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    order_id uuid NOT NULL,
    status integer,
    body bytea,
    PRIMARY KEY (owner, key)
) WITH (fillfactor = 50);
CREATE TABLE shop.outbox (
    position bigserial PRIMARY KEY,
    topic text NOT NULL,
    order_id uuid NOT NULL,
    body jsonb NOT NULL,
    at timestamptz NOT NULL
)
"""

# No row: there is no such product, or not enough of it. Otherwise the lines of the cart as it is now.
ADD_TO_CART: Final = """
WITH given (sku, quantity, owner, cart_id) AS (VALUES (%b::text, %b::bigint, %b::text, %b::uuid)
), product AS (
    SELECT products.sku, title, price, given.quantity, given.owner, given.cart_id
    FROM given
    JOIN shop.products ON products.sku = given.sku AND active
    JOIN shop.stock ON stock.sku = given.sku
    LEFT JOIN shop.carts ON carts.owner = given.owner
    LEFT JOIN shop.cart_items ON cart_items.cart_id = carts.cart_id AND cart_items.sku = given.sku
    WHERE on_hand - reserved >= given.quantity + coalesce(cart_items.quantity, 0)
), cart AS (
    INSERT INTO shop.carts (cart_id, owner, version) SELECT cart_id, owner, 1 FROM product
    ON CONFLICT (owner) DO UPDATE SET version = carts.version + 1
    RETURNING cart_id, version
), item AS (
    INSERT INTO shop.cart_items (cart_id, sku, quantity)
    SELECT cart.cart_id, product.sku, product.quantity FROM cart, product
    ON CONFLICT (cart_id, sku) DO UPDATE SET quantity = cart_items.quantity + EXCLUDED.quantity
    RETURNING sku, quantity
)
SELECT cart.cart_id, cart.version, item.sku, title, price, item.quantity FROM cart, item, product
UNION ALL
SELECT cart.cart_id, cart.version, products.sku, products.title, products.price, cart_items.quantity
FROM cart
JOIN shop.cart_items ON cart_items.cart_id = cart.cart_id
JOIN shop.products ON products.sku = cart_items.sku
JOIN product ON product.sku <> cart_items.sku
"""

# No row: the key is known, or the cart is empty or being checked out. A CHECK is violated when there is not enough in
# stock: then nothing is stored. Rows of the stock are locked in one order, so that no two deadlock.
START_CHECKOUT: Final = """
WITH given (owner, key, fingerprint, order_id, at, shipping_address, token) AS (
    VALUES (%b::text, %b::text, %b::text, %b::uuid, %b::timestamptz, %b::jsonb, %b::text)
), cart AS (
    UPDATE shop.carts SET checkout_order_id = given.order_id, version = version + 1
    FROM given
    WHERE carts.owner = given.owner AND checkout_order_id IS NULL
        AND EXISTS (SELECT FROM shop.cart_items WHERE cart_items.cart_id = carts.cart_id)
        AND NOT EXISTS (
            SELECT FROM shop.idempotency_keys k WHERE k.owner = given.owner AND k.key = given.key
        )
    RETURNING cart_id, given.*
), receipt AS (
    INSERT INTO shop.idempotency_keys (owner, key, fingerprint, order_id)
    SELECT owner, key, fingerprint, order_id FROM cart
), lines AS (
    SELECT products.sku, title, price, quantity
    FROM cart JOIN shop.cart_items USING (cart_id) JOIN shop.products USING (sku)
), locked AS MATERIALIZED (
    SELECT stock.sku, quantity FROM lines JOIN shop.stock USING (sku) ORDER BY sku FOR UPDATE OF stock
), taken AS (
    UPDATE shop.stock SET reserved = reserved + quantity FROM locked WHERE stock.sku = locked.sku
), submitted AS (
    INSERT INTO shop.orders (order_id, cart_id, owner, status, total, shipping_address, created_at)
    SELECT order_id, cart_id, owner, 'pending_payment', (SELECT sum(price * quantity) FROM lines), shipping_address, at
    FROM cart
), order_lines AS (
    INSERT INTO shop.order_lines (order_id, sku, title, quantity, unit_price)
    SELECT order_id, sku, title, quantity, price FROM cart, lines
), payment AS (
    INSERT INTO shop.payments (order_id, amount, token, status)
    SELECT order_id, (SELECT sum(price * quantity) FROM lines), token, 'pending' FROM cart
), told AS (
    INSERT INTO shop.outbox (topic, order_id, body, at)
    SELECT 'order.submitted', order_id, jsonb_build_object('owner', owner, 'cart_id', cart_id), at FROM cart
)
SELECT sku, title, price, quantity FROM lines
"""

PLACE: Final = """
WITH given (order_id, reference, at, owner, key, body) AS (
    VALUES (%b::uuid, %b::text, %b::timestamptz, %b::text, %b::text, %b::bytea)
), placed AS (
    UPDATE shop.orders SET status = 'placed', placed_at = at
    FROM given WHERE orders.order_id = given.order_id AND status = 'pending_payment'
    RETURNING cart_id, total, given.*
), paid AS (
    UPDATE shop.payments SET status = 'authorised', reference = placed.reference
    FROM placed WHERE payments.order_id = placed.order_id
), locked AS MATERIALIZED (
    SELECT stock.sku, order_lines.quantity
    FROM placed JOIN shop.order_lines USING (order_id) JOIN shop.stock USING (sku)
    ORDER BY sku FOR UPDATE OF stock
), sold AS (
    UPDATE shop.stock SET on_hand = on_hand - quantity, reserved = reserved - quantity
    FROM locked WHERE stock.sku = locked.sku
), emptied AS (
    DELETE FROM shop.cart_items USING placed WHERE cart_items.cart_id = placed.cart_id
), closed AS (
    UPDATE shop.carts SET checkout_order_id = NULL, version = version + 1
    FROM placed WHERE carts.cart_id = placed.cart_id
), answered AS (
    UPDATE shop.idempotency_keys k SET status = 201, body = placed.body
    FROM placed WHERE k.owner = placed.owner AND k.key = placed.key
), told AS (
    INSERT INTO shop.outbox (topic, order_id, body, at)
    SELECT 'order.placed', order_id, jsonb_build_object('reference', reference, 'total', total), at FROM placed
)
SELECT order_id FROM placed
"""

CAPTURE: Final = """
WITH given (order_id, amount, at) AS (VALUES (%b::uuid, %b::bigint, %b::timestamptz)
), taken AS (
    UPDATE shop.payments SET status = 'captured', captured = given.amount
    FROM given WHERE payments.order_id = given.order_id AND status = 'authorised'
    RETURNING given.*
), told AS (
    INSERT INTO shop.outbox (topic, order_id, body, at)
    SELECT 'order.payment_captured', order_id, jsonb_build_object('amount', amount), at FROM taken
)
SELECT order_id FROM taken
"""

DECLINE: Final = """
WITH given (order_id, reason, at, owner, key, body) AS (
    VALUES (%b::uuid, %b::text, %b::timestamptz, %b::text, %b::text, %b::bytea)
), failed AS (
    UPDATE shop.orders SET status = 'payment_failed'
    FROM given WHERE orders.order_id = given.order_id AND status = 'pending_payment'
    RETURNING cart_id, given.*
), refused AS (
    UPDATE shop.payments SET status = 'declined' FROM failed WHERE payments.order_id = failed.order_id
), locked AS MATERIALIZED (
    SELECT stock.sku, order_lines.quantity
    FROM failed JOIN shop.order_lines USING (order_id) JOIN shop.stock USING (sku)
    ORDER BY sku FOR UPDATE OF stock
), released AS (
    UPDATE shop.stock SET reserved = reserved - quantity FROM locked WHERE stock.sku = locked.sku
), reopened AS (
    UPDATE shop.carts SET checkout_order_id = NULL, version = version + 1
    FROM failed WHERE carts.cart_id = failed.cart_id
), answered AS (
    UPDATE shop.idempotency_keys k SET status = 402, body = failed.body
    FROM failed WHERE k.owner = failed.owner AND k.key = failed.key
), told AS (
    INSERT INTO shop.outbox (topic, order_id, body, at)
    SELECT 'order.payment_failed', order_id, jsonb_build_object('reason', reason), at FROM failed
)
SELECT order_id FROM failed
"""

ANSWER_GIVEN: Final = "SELECT fingerprint, status, body FROM shop.idempotency_keys WHERE owner = %b AND key = %b"

KEEP_ANSWER: Final = """
INSERT INTO shop.idempotency_keys (owner, key, fingerprint, order_id, status, body)
VALUES (%b, %b, %b, %b, %b, %b)
ON CONFLICT DO NOTHING RETURNING order_id
"""
