"""Who is calling: a bearer token's customer, or a guest known by a signed cookie."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import jwt
from itsdangerous import BadSignature, URLSafeTimedSerializer

COOKIE: Final = "cf_session"
COOKIE_LIFE_SECONDS: Final = 30 * 24 * 3_600
COOKIES_TRIED_LIMIT_COUNT: Final = 4
CLOCK_SKEW_SECONDS: Final = 5
NAME_LIMIT_CHARACTERS: Final = 200
ROLES_LIMIT_COUNT: Final = 20
JWKS_TIMEOUT_SECONDS: Final = 3
JWKS_LIFE_SECONDS: Final = 300
KEPT_SECONDS: Final = 60
KEPT_LIMIT_COUNT: Final = 10_000
KEPT_TEXT_LIMIT_CHARACTERS: Final = 2_048
TIME_LIMIT_SECONDS: Final = 2**53  # exact as a float, in every client too
_TIMES: Final = frozenset({"exp", "nbf", "iat"})
_ASYMMETRIC: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]


_Value = TypeVar("_Value")


class BadToken(Exception):
    """The token is forged, expired, or not one of ours. The message may be shown."""


class KeysUnavailable(Exception):
    """The JWKS endpoint does not answer: no token can be told from a forged one."""


@dataclass(slots=True)
class Caller:
    """Who sent a request. `owner` names whose cart and orders they are; None: a guest without a session."""

    customer_id: str | None = None
    roles: frozenset[str] = frozenset()
    guest_id: str | None = None
    opened: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)

    @property
    def owner(self) -> str | None:
        return f"customer:{self.customer_id}" if self.customer_id is not None else self.guest_owner

    @property
    def guest_owner(self) -> str | None:
        return f"guest:{self.guest_id}" if self.guest_id is not None else None

    @property
    def actor(self) -> str:
        if self.customer_id is not None and "operator" in self.roles:
            return f"operator:{self.customer_id}"
        return self.owner or "guest"

    def open_session(self) -> str:
        """Makes a session for a guest and has its cookie set; returns the new owner."""
        self.guest_id = secrets.token_urlsafe(18)
        self.opened = True
        return f"guest:{self.guest_id}"

    def end_session(self) -> None:
        """Has the guest's cookie taken away."""
        self.ended = True


class _Kept(Generic[_Value]):
    """What was found true of a signature, for a minute: a browser sends the same one with everything it asks."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, _Value]] = {}

    def get(self, text: str) -> _Value | None:
        found = self._values.get(text)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, text: str, value: _Value) -> None:
        if len(text) > KEPT_TEXT_LIMIT_CHARACTERS:
            return
        while len(self._values) >= KEPT_LIMIT_COUNT:
            del self._values[next(iter(self._values))]
        self._values[text] = (time.monotonic() + KEPT_SECONDS, value)


class Sessions:
    """The guests' cookies: signed, so that nobody makes or guesses another's."""

    def __init__(self, secret: str, *, secure: bool) -> None:
        self._known = _Kept[str]()
        self._serializer = URLSafeTimedSerializer(secret, salt="counterfoil.session")
        self._attributes = f"; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"

    def guest_id(self, cookie_header: str) -> str | None:
        """None where there is no cookie, or one that is too old or not signed by us: a guest like any new one."""
        known = self._known.get(cookie_header)
        if known is None:
            known = self._read(cookie_header)
            if known is not None:
                self._known.put(cookie_header, known)
        return known

    def _read(self, cookie_header: str) -> str | None:
        for value in islice(_values_of(COOKIE, cookie_header), COOKIES_TRIED_LIMIT_COUNT):
            try:
                guest_id = self._serializer.loads(value, max_age=COOKIE_LIFE_SECONDS)
            except BadSignature:
                continue
            if isinstance(guest_id, str):
                return guest_id
        return None

    def set_cookie(self, guest_id: str) -> str:
        signed = f"{COOKIE}={self._serializer.dumps(guest_id)}"
        self._known.put(signed, guest_id)  # it comes back at once, and mostly alone
        return f"{signed}; Max-Age={COOKIE_LIFE_SECONDS}{self._attributes}"

    def clear_cookie(self) -> str:
        return f"{COOKIE}=; Max-Age=0{self._attributes}"


def _values_of(name: str, cookie_header: str) -> Iterator[str]:
    """Every cookie of that name, in the order of the header, whatever stands beside it.

    A shop's other pages put there what no strict parser takes, and one such cookie must not empty the cart. There may
    be several of one name, from a sibling's domain or another path: the first that we signed is the session, so that
    one that is stale or made up neither replaces it nor hides it.
    """
    for pair in cookie_header.split(";"):
        found, equals, value = pair.partition("=")
        if equals and found.strip() == name:
            value = value.strip()
            yield value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


class Tokens:
    """Verifies bearer tokens: HS256 under a shared secret, or the keys of a JWKS endpoint where one is configured."""

    def __init__(self, secret: str, jwks_url: str | None = None) -> None:
        self._secret = secret
        self._verified = _Kept[tuple[str, frozenset[str], float]]()
        self._keys = (
            jwt.PyJWKClient(jwks_url, lifespan=JWKS_LIFE_SECONDS, timeout=JWKS_TIMEOUT_SECONDS) if jwks_url else None
        )

    async def verify(self, authorization: str) -> Caller:
        """Raises BadToken, KeysUnavailable."""
        kept = self._verified.get(authorization)
        if kept is None:
            claims = await self._claims(authorization)
            caller = _caller(claims)
            assert caller.customer_id is not None
            self._verified.put(authorization, (caller.customer_id, caller.roles, claims["exp"]))
            return caller
        customer_id, roles, expires_at = kept
        if time.time() > expires_at + CLOCK_SKEW_SECONDS:
            raise BadToken("The token has expired.")
        return Caller(customer_id=customer_id, roles=roles)

    async def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise BadToken("Authorization takes the form: Bearer <token>.")
        try:
            key, algorithms = await self._key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["sub", "exp"], "verify_aud": False},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise KeysUnavailable(str(error)) from error
        except jwt.ExpiredSignatureError:
            raise BadToken("The token has expired.") from None
        except jwt.MissingRequiredClaimError as error:
            raise BadToken(f"The token has no {error.claim}.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise BadToken("The token is not valid.") from None
        for name in _TIMES & claims.keys():
            if not _is_time(claims[name]):
                raise BadToken(f"The token's {name} is not a time.")
        return claims

    async def _key(self, token: str) -> tuple[Any, list[str]]:
        if self._keys is None:
            return self._secret, ["HS256"]
        # It fetches over the network, in a library that blocks.
        return await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token), _ASYMMETRIC


def _is_time(value: object) -> bool:
    """The library reads any number as one, and text with a number in it; NaN and Infinity are numbers to its JSON."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= TIME_LIMIT_SECONDS


def _caller(claims: dict[str, Any]) -> Caller:
    sub, roles = claims["sub"], claims.get("roles") or []
    if not isinstance(sub, str) or not 0 < len(sub) <= NAME_LIMIT_CHARACTERS or not sub.isprintable():
        raise BadToken("The token's subject is not a customer id.")
    if not isinstance(roles, list) or len(roles) > ROLES_LIMIT_COUNT or not all(isinstance(r, str) for r in roles):
        raise BadToken("The token's roles are not a list of names.")
    return Caller(customer_id=sub, roles=frozenset(roles))
