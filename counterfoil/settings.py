"""What can be set from outside, and where each value comes from.

A value comes from the environment, else from its default; a secret that is not given is made once and kept in
`<var>/secrets.json`, so that every process of one data folder, and the command line, agree on it.
"""

import json
import secrets
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from counterfoil.embedded.errors import CannotStartError
from counterfoil.embedded.files import one_at_a_time, private_folder, write_private

Port = Annotated[int, Field(ge=1, le=65_535)]
# RFC 7518, 3.2: a key for HS256 has 256 bits at least.
Secret = Annotated[SecretStr, Field(min_length=32, max_length=1_024)]

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
    var: Path = Path("var")

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    redis_url: str | None = Field(default=None, validation_alias="REDIS_URL")
    provider_url: str | None = None
    """Where the payment provider listens; the built-in one when it is not given."""

    jwt_secret: Secret = Field(default=...)
    session_secret: Secret = Field(default=...)
    webhook_secret: Secret = Field(default=...)
    jwks_url: str | None = None

    currency: str = Field(default="GBP", pattern=r"^[A-Z]{3}$")
    reservation_ttl_seconds: int = Field(default=600, ge=1, le=86_400)
    checkout_answer_within_seconds: float = Field(default=10.0, gt=0, le=60)
    shipping_methods: dict[str, ShippingMethodSetting] = Field(default_factory=_shipping_methods, min_length=1)
    default_shipping_method: str = "standard"
    tax_basis_points: int = Field(default=0, ge=0, le=10_000)
    """Hundredths of a per cent put on top of the lines; 0 where prices include the tax."""

    event_cipher_key: SecretStr | None = None
    """16, 24 or 32 bytes in base64: events are stored under AES-GCM, and readable only with it."""
    event_compression: Literal["none", "zlib"] = "none"

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
        return self

    @property
    def command_url(self) -> str:
        return f"http://{self.host}:{self.command_port}"

    @property
    def query_url(self) -> str:
        return f"http://{self.host}:{self.query_port}"

    @property
    def provider_base_url(self) -> str:
        """The address of the payment provider, given or built in."""
        return self.provider_url or f"http://{self.host}:{self.provider_port}"

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


def variable(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias if field in Settings.model_fields else field
    return alias if isinstance(alias, str) else f"COUNTERFOIL_{field.upper()}"


class _SecretsFile(PydanticBaseSettingsSource):
    """The secrets that nobody gave, from the data folder; made there the first time."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("all the secrets are read together, in __call__")

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
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise CannotStartError(
            f"{path} is damaged. Put a backup in its place, or remove it: new secrets are made then, and tokens and "
            "guests' cookies that were signed with the old ones are no longer good."
        )
    return kept
