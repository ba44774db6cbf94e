from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from counterfoil.embedded.errors import CannotStartError
from counterfoil.settings import Settings


@pytest.mark.parametrize("damaged", ["{", "[]", '{"jwt_secret": 7}', "", "\x00"])
def test_secrets_that_are_damaged_are_said_to_be(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "secrets.json").write_text(damaged)
    with pytest.raises(CannotStartError, match="remove it"):
        Settings(var=tmp_path)
    assert (tmp_path / "secrets.json").read_text() == damaged


def test_secrets_are_made_once(tmp_path: Path) -> None:
    assert Settings(var=tmp_path) == Settings(var=tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example"),
        ("http://shop.example:8080/queries//", "http://shop.example:8080/queries"),
    ],
)
def test_paths_can_be_put_behind_the_public_url(tmp_path: Path, given: str, told: str) -> None:
    assert Settings(var=tmp_path, query_public_url=given).query_base_url == told


def test_without_a_public_url_it_is_the_query_apis_own(tmp_path: Path) -> None:
    assert Settings(var=tmp_path, query_port=9002).query_base_url == "http://127.0.0.1:9002"


@pytest.mark.parametrize(
    "given", ["shop.example", "/queries", "ftp://shop.example", "https://", "https://shop.example?a=1", "http://x/#y"]
)
def test_a_public_url_that_is_none_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ValidationError, match="query_public_url"):
        Settings(var=tmp_path, query_public_url=given)


@pytest.mark.parametrize("given", [{}, {"stripe_api_key": "sk_test_1"}, {"stripe_webhook_secret": "whsec_1"}])
def test_stripe_is_not_chosen_without_its_secrets(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="COUNTERFOIL_STRIPE_API_KEY and COUNTERFOIL_STRIPE_WEBHOOK_SECRET"):
        Settings(var=tmp_path, payments="stripe", **given)  # type: ignore[arg-type]


def test_stripes_secrets_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERFOIL_PAYMENTS", "stripe")
    monkeypatch.setenv("COUNTERFOIL_STRIPE_API_KEY", "sk_test_hidden")
    monkeypatch.setenv("COUNTERFOIL_STRIPE_WEBHOOK_SECRET", "whsec_hidden")

    settings = Settings(var=tmp_path)

    assert "hidden" not in repr(settings)
    assert not settings.embeds_provider


def test_the_provider_is_started_with_the_shop_unless_another_takes_the_money(tmp_path: Path) -> None:
    assert Settings(var=tmp_path).embeds_provider
    assert not Settings(var=tmp_path, provider_url="http://pay.example").embeds_provider
