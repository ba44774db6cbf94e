"""Bearer tokens: whose they are, and which nobody is to be taken in by."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from counterfoil.http.identity import BadToken, KeysUnavailable, Tokens

SECRET = "a secret that is long enough for this"
KEY_ID = "of-today"
LIFE_SECONDS = 3_600


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "ada", "roles": ["operator"], "exp": int(time.time()) + LIFE_SECONDS, **more}


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.fixture(scope="module")
def public_jwk(private_key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(private_key.public_key(), as_dict=True), "kid": KEY_ID, "use": "sig"}


@pytest.fixture(scope="module")
def jwks_url(public_jwk: dict[str, Any]) -> Iterator[str]:
    """A real endpoint, with one key."""
    body = json.dumps({"keys": [public_jwk]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks.json"
        finally:
            server.shutdown()
            serving.join()


def signed_by_hand(key: bytes, algorithm: str = "HS256") -> str:
    """With any bytes as the key: libraries refuse to sign with what looks like a public one, an attacker does not."""
    header = {"alg": algorithm, "typ": "JWT", "kid": KEY_ID}
    parts = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims()))
    return (parts + b"." + _encoded(hmac.digest(key, parts, hashlib.sha256))).decode()


def _encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")


async def test_a_token_of_the_configured_keys_says_who_calls(jwks_url: str, private_key: rsa.RSAPrivateKey) -> None:
    token = jwt.encode(claims(), private_key, algorithm="RS256", headers={"kid": KEY_ID})
    caller = await Tokens(SECRET, jwks_url).verify(f"Bearer {token}")
    assert (caller.customer_id, caller.roles) == ("ada", frozenset({"operator"}))


PUBLISHED: dict[str, Callable[[rsa.RSAPublicKey], bytes]] = {
    "PEM": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "PEM without its last line's end": lambda key: key.public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ).rstrip(),
    "PEM of PKCS 1": lambda key: key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "DER": lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "modulus": lambda key: key.public_numbers().n.to_bytes(256, "big"),
    "JWK": lambda key: RSAAlgorithm.to_jwk(key).encode(),
}


@pytest.mark.parametrize("form", PUBLISHED)
async def test_a_public_key_is_no_shared_secret(jwks_url: str, private_key: rsa.RSAPrivateKey, form: str) -> None:
    forged = signed_by_hand(PUBLISHED[form](private_key.public_key()))
    with pytest.raises(BadToken):
        await Tokens(SECRET, jwks_url).verify(f"Bearer {forged}")


@pytest.mark.parametrize("algorithm", ["RS256", "none", "None", "hs256"])
async def test_nor_under_another_algorithms_name(jwks_url: str, private_key: rsa.RSAPrivateKey, algorithm: str) -> None:
    forged = signed_by_hand(PUBLISHED["PEM"](private_key.public_key()), algorithm)
    with pytest.raises(BadToken):
        await Tokens(SECRET, jwks_url).verify(f"Bearer {forged}")


async def test_where_keys_are_configured_the_shared_secret_signs_nothing(jwks_url: str) -> None:
    token = signed_by_hand(SECRET.encode())
    assert (await Tokens(SECRET).verify(f"Bearer {token}")).customer_id == "ada"
    with pytest.raises(BadToken):
        await Tokens(SECRET, jwks_url).verify(f"Bearer {token}")


async def test_another_key_under_the_same_id_signs_nothing(jwks_url: str) -> None:
    theirs = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    token = jwt.encode(claims(), theirs, algorithm="RS256", headers={"kid": KEY_ID})
    with pytest.raises(BadToken):
        await Tokens(SECRET, jwks_url).verify(f"Bearer {token}")


async def test_keys_that_cannot_be_had_are_not_the_callers_fault(private_key: rsa.RSAPrivateKey) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as gone:
        url = f"http://127.0.0.1:{gone.server_port}/jwks.json"
    token = jwt.encode(claims(), private_key, algorithm="RS256", headers={"kid": KEY_ID})
    with pytest.raises(KeysUnavailable):
        await Tokens(SECRET, url).verify(f"Bearer {token}")


async def test_a_token_that_is_known_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, token = Tokens(SECRET), jwt.encode(claims(), SECRET, algorithm="HS256")
    assert (await tokens.verify(f"Bearer {token}")).customer_id == "ada"
    now = time.time() + LIFE_SECONDS + 60
    monkeypatch.setattr("counterfoil.http.identity.time.time", lambda: now)
    with pytest.raises(BadToken, match="expired"):
        await tokens.verify(f"Bearer {token}")


async def test_a_token_that_would_be_good_for_ever_is_refused(jwks_url: str, private_key: rsa.RSAPrivateKey) -> None:
    for_ever = {"sub": "ada", "roles": []}
    with pytest.raises(BadToken, match="has no exp"):
        await Tokens(SECRET).verify(f"Bearer {jwt.encode(for_ever, SECRET, algorithm='HS256')}")
    token = jwt.encode(for_ever, private_key, algorithm="RS256", headers={"kid": KEY_ID})
    with pytest.raises(BadToken, match="has no exp"):
        await Tokens(SECRET, jwks_url).verify(f"Bearer {token}")


NO_TIMES: list[object] = [
    None, "", "soon", "inf", "1", float("inf"), float("-inf"), float("nan"), 10**400, -(10**400), 2**60, True, [], {},
]  # fmt: skip


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("time", NO_TIMES)
async def test_so_is_one_whose_times_are_none(name: str, time: object) -> None:
    token = jwt.encode(claims(**{name: time}), SECRET, algorithm="HS256")
    with pytest.raises(BadToken):
        await Tokens(SECRET).verify(f"Bearer {token}")


async def test_a_time_may_have_a_fraction_and_lie_in_a_far_future() -> None:
    token = jwt.encode(claims(exp=10**12, nbf=0, iat=1.5), SECRET, algorithm="HS256")
    assert (await Tokens(SECRET).verify(f"Bearer {token}")).customer_id == "ada"
