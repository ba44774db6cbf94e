"""A guest's session is found by its name, whatever else the browser has been given to send."""

from __future__ import annotations

import copy

import pytest

from counterfoil.http.identity import COOKIE, COOKIE_LIFE_SECONDS, COOKIES_TRIED_LIMIT_COUNT, KEPT_SECONDS, Sessions

SECRET = "a secret that is long enough for this"


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(SECRET, secure=False)


def cookie(sessions: Sessions, guest_id: str) -> str:
    """As a browser sends it, signed by another process: here nobody remembers that it is good."""
    return copy.deepcopy(sessions).set_cookie(guest_id).partition(";")[0]


@pytest.mark.parametrize(
    "other",
    [
        'prefs={"x":1}',
        'prefs={"x":1, "y":[2]}',
        "bad[name]=1",
        "foo",
        "=",
        "=nameless",
        "",
        " ",
        "name=gr\xfc\xdfe",
        "name=gr\xc3\xbc\xc3\x9fe",
        "\xff\xfe=1",
        'open="quote',
        "a=b=c==",
        "a,b=c",
        "tab\t=1",
        "nul=\x00",
        "$Version=1",
        "path=/",
        f"{COOKIE}",
        f"{COOKIE}=",
        f'{COOKIE}="',
        f"{COOKIE}=made.up.value",
        f"{COOKIE}=gr\xfc\xdfe",
        f"X{COOKIE}=made-up",
        f"{COOKIE}2=made-up",
    ],
)
@pytest.mark.parametrize("separator", ["; ", ";"])
def test_no_other_cookie_hides_it(sessions: Sessions, other: str, separator: str) -> None:
    ours = cookie(sessions, "ada")
    assert sessions.guest_id(separator.join([other, ours])) == "ada"
    assert sessions.guest_id(separator.join([ours, other])) == "ada"
    assert sessions.guest_id(separator.join([other, ours, other])) == "ada"


def test_it_may_be_quoted_and_have_blanks_around_it(sessions: Sessions) -> None:
    name, _, value = cookie(sessions, "ada").partition("=")
    assert sessions.guest_id(f'{name}="{value}"') == "ada"
    assert sessions.guest_id(f" \t{name} = {value} ") == "ada"


def test_of_several_the_first_that_we_signed_is_the_session(sessions: Sessions) -> None:
    ada, bo = cookie(sessions, "ada"), cookie(sessions, "bo")
    forged = cookie(Sessions("another secret, just as long as ours", secure=False), "mallory")
    assert sessions.guest_id(f"{ada}; {bo}") == "ada"
    assert sessions.guest_id(f"{bo}; {ada}") == "bo"
    assert sessions.guest_id(f"{forged}; {bo}; {ada}") == "bo"


def test_only_so_many_are_tried(sessions: Sessions) -> None:
    ours, made_up = cookie(sessions, "ada"), [f"{COOKIE}=x{n}" for n in range(COOKIES_TRIED_LIMIT_COUNT)]
    assert sessions.guest_id("; ".join([*made_up[:-1], ours])) == "ada"
    assert sessions.guest_id("; ".join([*made_up, ours])) is None


def test_one_that_has_expired_does_not_hide_one_that_has_not(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 1_000_000)
    stale = cookie(sessions, "ada")
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 1_000_000 + COOKIE_LIFE_SECONDS + 1)
    fresh = cookie(sessions, "bo")
    assert sessions.guest_id(stale) is None
    assert sessions.guest_id(f"{stale}; {fresh}") == "bo"


def test_the_browser_is_told_to_forget_it_when_it_expires(sessions: Sessions) -> None:
    assert f"; Max-Age={COOKIE_LIFE_SECONDS};" in sessions.set_cookie("ada")


def test_one_that_was_good_a_moment_ago_expires_all_the_same(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_at, monotonic = 1_000_000, 0.0
    monkeypatch.setattr("counterfoil.http.identity.time.monotonic", lambda: monotonic)
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: signed_at)
    ours = cookie(sessions, "ada")
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: signed_at + COOKIE_LIFE_SECONDS)
    assert sessions.guest_id(ours) == "ada"  # and is known now without being looked at
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: signed_at + COOKIE_LIFE_SECONDS + KEPT_SECONDS)
    monotonic += KEPT_SECONDS
    assert sessions.guest_id(ours) is None


@pytest.mark.parametrize(
    "header", ["", ";", COOKIE, f"{COOKIE}=", f'{COOKIE}=""', f"{COOKIE}=guest", f"other={COOKIE}", "prefs={}; x"]
)
def test_where_there_is_none_there_is_no_session(sessions: Sessions, header: str) -> None:
    assert sessions.guest_id(header) is None


def test_its_name_is_told_from_one_that_differs_in_case(sessions: Sessions) -> None:
    assert sessions.guest_id(cookie(sessions, "ada").upper()) is None
    assert sessions.guest_id(cookie(sessions, "ada").replace(COOKIE, COOKIE.title())) is None
