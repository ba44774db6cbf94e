"""What can be set from outside, and where each value comes from.

A value comes from the environment, else from its default; a secret that is not given is made once and kept in
`<var>/secrets.json`, so that every process of one data folder, and the command line, agree on it.
"""

import json
import secrets
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, HttpUrl, SecretStr, TypeAdapter, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import one_at_a_time, private_folder, write_private

Port = Annotated[int, Field(ge=1, le=65_535)]
# RFC 7518, 3.2: a key for HS256 has 256 bits at least.
Secret = Annotated[SecretStr, Field(min_length=32, max_length=1_024)]

_http_url: Final = TypeAdapter(HttpUrl)


def _base_url(text: str) -> str:
    """As it was given, so that paths can be put behind it."""
    url = _http_url.validate_python(text)
    if url.query is not None or url.fragment is not None:
        raise ValueError("paths are put behind it: it can have neither a query nor a fragment")
    return text.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]

_SECRET_NAMES: Final = ("jwt_secret", "session_secret", "webhook_secret")
_SECRET_BYTES: Final = 32


class ShippingMethodSetting(BaseModel):
    """`fee_minor` is in minor units of the shop's currency."""

    fee_minor: int = Field(ge=0, le=10**9)
    delivery_days: int = Field(ge=0, le=365)


def _shipping_methods() -> dict[str, ShippingMethodSetting]:
    return {
        "standard": ShippingMethodSetting(fee_minor=0, delivery_days=5),
        "express": ShippingMethodSetting(fee_minor=495, delivery_days=1),
    }


class Settings(BaseSettings):
    """The settings of one process; the environment variable is COUNTERFOIL_ and the field's name in capitals.

    Making one may make the data folder and its secrets.
    Raises pydantic.ValidationError for a value that cannot be, CannotStartError for a data folder that cannot.
    """

    model_config = SettingsConfigDict(
        env_prefix="COUNTERFOIL_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    command_port: Port = 8001
    query_port: Port = 8002
    provider_port: Port = 8003
    projector_port: Port = 8004
    relay_port: Port = 8005
    worker_port: Port = 8006
    var: Path = Path("var")

    query_public_url: BaseUrl | None = None
    """Where clients find the query API, when that is not its own address: behind a proxy, or in a container."""

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    projector_follows: Literal["all", "search"] = "all"
    """What the projector keeps up with the log: where workers feed the views from Kafka, search is left to it."""
    opensearch_url: str | None = Field(default=None, validation_alias="OPENSEARCH_URL")
    """Search is answered from there while it answers, else from Postgres."""
    kafka_url: str | None = Field(default=None, validation_alias="KAFKA_URL")
    """The brokers to begin with, as `host:port,host:port`; without them nothing is relayed."""
    kafka_partitions: int = Field(default=8, ge=1, le=1_000)
    """Of each topic. Which one an event belongs to depends on it: it stays what it was when the topics were made."""
    payments: Literal["builtin", "stripe"] = "builtin"
    """Who takes the money: the built-in provider (or what stands at `provider_url` in its place), or Stripe."""
    stripe_api_key: SecretStr | None = None
    """A secret or a restricted key of the account, `sk_…` or `rk_…`."""
    stripe_webhook_secret: SecretStr | None = None
    """That of the webhook endpoint at Stripe, `whsec_…`."""
    stripe_api_base: BaseUrl | None = None
    """Another address than Stripe's own, for tests."""
    provider_url: str | None = None
    """Where the payment provider listens; the built-in one when it is not given."""
    webhook_url: BaseUrl | None = None
    """Where the built-in provider sends its events; the command API of these settings when it is not given."""

    jwt_secret: Secret = Field(default=...)
    session_secret: Secret = Field(default=...)
    webhook_secret: Secret = Field(default=...)
    jwks_url: str | None = None

    currency: str = Field(default="GBP", pattern=r"^[A-Z]{3}$")
    reservation_ttl_seconds: int = Field(default=600, ge=1, le=86_400)
    receipt_ttl_hours: int = Field(default=24, ge=1, le=8_760)
    """How long a checkout that is asked for again under its Idempotency-Key is told what it was told first."""
    checkout_answer_within_seconds: float = Field(default=10.0, gt=0, le=60)
    payments_failures_to_open: int = Field(default=5, ge=1, le=1_000)
    """So many calls to the provider in a row without an answer, and new checkouts are refused."""
    payments_open_seconds: float = Field(default=5.0, ge=0.1, le=300)
    """How long the provider is then left alone before it is tried again."""
    shipping_methods: dict[str, ShippingMethodSetting] = Field(default_factory=_shipping_methods, min_length=1)
    default_shipping_method: str = "standard"
    tax_basis_points: int = Field(default=0, ge=0, le=10_000)
    """Hundredths of a per cent put on top of the lines; 0 where prices include the tax."""

    event_cipher_key: SecretStr | None = None
    """16, 24 or 32 bytes in base64: events are stored under AES-GCM, and readable only with it."""
    event_compression: Literal["none", "zlib"] = "none"

    smtp_url: SecretStr | None = None
    """The mail server, `smtp://[user:password@]host[:port]` or `smtps://`; without it customers are not written to."""
    mail_from: str | None = None
    """Who writes to customers, as `Shop <orders@shop.example>`."""
    mail_to_template: str | None = None
    """A customer's address, with `{customer_id}` in it."""
    mail_history_hours: int = Field(default=24, ge=1, le=720)
    """Nobody is written to about what is longer ago."""

    order_events_seconds: float = Field(default=900.0, gt=0, le=86_400)
    """How long one answer goes on with an order's changes; then its client comes again, with a token still good."""

    cookie_secure: bool = False
    """Whether the guests' cookie is for https only: set it wherever the shop is served over https."""
    body_limit_bytes: int = Field(default=1_048_576, ge=1_024, le=16_777_216)

    valkey_max_memory_mb: int = Field(default=1_024, ge=16)
    """What the embedded Valkey may hold; when it is full, writes fail loudly and nothing is evicted."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        ports = [self.command_port, self.query_port, self.provider_port, self.projector_port]
        if len(set(ports)) < len(ports):
            raise ValueError(f"the ports of the command API, query API, provider and projector must differ: {ports}")
        if self.default_shipping_method not in self.shipping_methods:
            raise ValueError(f"the default shipping method {self.default_shipping_method!r} is not one of them")
        if self.smtp_url is not None and not (self.mail_from and self.mail_to_template):
            raise ValueError("with a mail server go COUNTERFOIL_MAIL_FROM and COUNTERFOIL_MAIL_TO_TEMPLATE")
        if self.payments == "stripe" and not (self.stripe_api_key and self.stripe_webhook_secret):
            raise ValueError(
                "with COUNTERFOIL_PAYMENTS=stripe go COUNTERFOIL_STRIPE_API_KEY and COUNTERFOIL_STRIPE_WEBHOOK_SECRET"
            )
        return self

    @property
    def command_url(self) -> str:
        return f"http://{self.host}:{self.command_port}"

    @property
    def query_url(self) -> str:
        return f"http://{self.host}:{self.query_port}"

    @property
    def query_base_url(self) -> str:
        """What clients are told of the query API's address, without a slash at its end."""
        return self.query_public_url or self.query_url

    @property
    def provider_base_url(self) -> str:
        """The address of the payment provider, given or built in."""
        return self.provider_url or f"http://{self.host}:{self.provider_port}"

    @property
    def embeds_provider(self) -> bool:
        """Whether the built-in payment provider is started with the shop."""
        return self.payments == "builtin" and self.provider_url is None

    @property
    def webhook_target(self) -> str:
        """Where the built-in provider sends its events, given or here."""
        return self.webhook_url or f"{self.command_url}/v1/webhooks/payments"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _SecretsFile(settings_cls)


class Signing(BaseSettings):
    """What bearer tokens are signed with. Unlike Settings, it makes nothing: without a secret there is None.

    Raises pydantic.ValidationError, and CannotStartError for secrets that cannot be read.
    """

    model_config = Settings.model_config

    var: Path = Path("var")
    jwt_secret: Secret | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _KeptSecrets(settings_cls)


def variable(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias if field in Settings.model_fields else field
    return alias if isinstance(alias, str) else f"COUNTERFOIL_{field.upper()}"


class _KeptSecrets(PydanticBaseSettingsSource):
    """The secrets that nobody gave, as far as the data folder has them."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("all the secrets are read together, in __call__")

    def __call__(self) -> dict[str, Any]:
        kept = _kept_secrets(Path(self.current_state.get("var", "var")) / "secrets.json")
        return {name: secret for name, secret in kept.items() if name not in self.current_state}


class _SecretsFile(_KeptSecrets):
    """The same, and what is missing is made there."""

    def __call__(self) -> dict[str, Any]:
        missing = [name for name in _SECRET_NAMES if name not in self.current_state]
        if not missing:
            return {}
        var = private_folder(Path(self.current_state.get("var", "var")))
        path = var / "secrets.json"
        with one_at_a_time(var):
            kept = _kept_secrets(path)
            made = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in missing if name not in kept}
            if made:
                write_private(path, json.dumps(kept | made, indent=2) + "\n")
        return {name: (kept | made)[name] for name in missing}


def _kept_secrets(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except OSError as error:
        raise CannotStartError(
            f"{path} cannot be read: {error.strerror}. Run as the user that it belongs to."
        ) from error
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise CannotStartError(
            f"{path} is damaged. Put a backup in its place, or remove it: new secrets are made then, and tokens and "
            "guests' cookies that were signed with the old ones are no longer good."
        )
    return kept
