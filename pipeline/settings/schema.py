"""All settings and their allowed values. A flag counts before the environment (`OTT_...`), and that before the file."""

from __future__ import annotations

import os
import re
import ssl
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from pipeline.errors import MissingError, UsageError
from pipeline.settings.sources import Merged, Names, merge, variable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

SECRETS = frozenset({"kafka_sasl_password", "kafka_ssl_password", "pseudonym_key", "jwt_secret"})
MASK = "********"

_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65_535


def _no_booleans(value: object) -> object:
    if isinstance(value, bool):
        message = "a boolean is not a number"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns a ValueError, not a TypeError, into its own error
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


# The description of a field says in words which values are allowed; a number says it by its limits.
_NAME = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$", description="1 to 100 letters, digits, '.', '_' or '-'")

Number = Annotated[int, BeforeValidator(_no_booleans)]
Flag = Annotated[bool, Field(description="true or false")]
File = Annotated[Path | None, Field(description="a file")]
Text = Annotated[str | None, Field(description="text")]
Secret = Annotated[SecretStr | None, Field(description="text")]
SecurityProtocol = Annotated[
    Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
    BeforeValidator(_upper),
    Field(description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
]
SaslMechanism = Annotated[
    Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    BeforeValidator(_upper),
    Field(description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower), Field(description="text or json")]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(_lower),
    Field(description="debug, info, warning, error or critical"),
]


class SettingRow(NamedTuple):
    """One line of `--show-settings`; `value` is masked for a secret."""

    name: str
    value: str
    origin: str


class Settings(BaseModel):
    """The validated settings of one process. They do not change after the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field("127.0.0.1:9092", description="HOST:PORT, several separated by commas")
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    kafka_sasl_username: Text = None
    kafka_sasl_password: Secret = None
    kafka_ssl_cafile: File = None
    kafka_ssl_certfile: File = None
    kafka_ssl_keyfile: File = None
    kafka_ssl_password: Secret = None
    kafka_ssl_check_hostname: Flag = True
    state_dir: Path = Field(Path("state"), description="a directory")
    app_id: Annotated[str, _NAME] = "ott-risk"
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="at most 100 letters, digits, '.', '_' or '-'",
    )
    partitions: Number = Field(8, ge=1, le=10_000)
    replication_factor: Number = Field(1, ge=1, le=100)
    commit_interval_ms: Number = Field(1000, ge=10, le=60_000)
    session_timeout_ms: Number = Field(10_000, ge=500, le=1_800_000)
    standby_replicas: Number = Field(0, ge=0, le=10)
    web_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9._:-]+$", description="a host name or an address")
    web_port: Number = Field(8000, ge=0, le=_LAST_PORT, description="0 to 65535, 0 for any free port")
    web_tls_cert: File = None
    web_tls_key: File = None
    web_tls_ca: File = None
    web_trusted_proxies: str = Field(
        "", description="addresses or networks (10.0.0.0/8), separated by commas"
    )
    indexed_verdicts: Number = Field(100_000, ge=100, le=10_000_000)
    instance_id: Annotated[str | None, _NAME] = None
    rules: File = None
    pseudonym_key: SecretStr | None = Field(None, min_length=16, description="at least 16 characters")
    jwt_secret: SecretStr | None = Field(None, min_length=32, description="at least 32 characters")
    users_file: File = None
    accept_unproven_origins: Flag = False
    demo: Flag = False
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        addresses = [address.strip() for address in value.split(",")]
        for address in addresses:
            match = _ADDRESS.fullmatch(address)
            if match is None or not 0 < int(match["port"]) <= _LAST_PORT:
                message = f"{address!r} is not HOST:PORT"
                raise ValueError(message)
        return ",".join(addresses)

    @field_validator("web_trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks = [network.strip() for network in value.split(",") if network.strip()]
        return ",".join(str(ip_network(network, strict=False)) for network in networks)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sasl = self.kafka_security_protocol.startswith("SASL_")
        if sasl and (self.kafka_sasl_username is None or self.kafka_sasl_password is None):
            message = (
                f"kafka_security_protocol {self.kafka_security_protocol} needs kafka_sasl_username and "
                "kafka_sasl_password"
            )
            raise ValueError(message)
        if self.kafka_ssl_keyfile is not None and self.kafka_ssl_certfile is None:
            message = "kafka_ssl_keyfile needs kafka_ssl_certfile beside it"
            raise ValueError(message)
        if (self.web_tls_cert is None) != (self.web_tls_key is None):
            given, missing = (
                ("web_tls_cert", "web_tls_key")
                if self.web_tls_key is None
                else ("web_tls_key", "web_tls_cert")
            )
            message = f"{given} needs {missing} beside it"
            raise ValueError(message)
        if self.web_tls_ca is not None and self.web_tls_cert is None:
            message = "web_tls_ca needs web_tls_cert and web_tls_key beside it"
            raise ValueError(message)
        if self.demo and not _is_loopback(self.web_host):
            message = (
                f"web_host {self.web_host!r}: the demo has well-known accounts and listens on loopback only; "
                "use 127.0.0.1, or switch demo off"
            )
            raise ValueError(message)
        return self

    def topic(self, name: str) -> str:
        """The name of a topic on the cluster: `name` with this environment's prefix."""
        return f"{self.topic_prefix}{name}"

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """The networks of `web_trusted_proxies`."""
        return tuple(filter(None, self.web_trusted_proxies.split(",")))

    def kafka_client_options(self) -> dict[str, Any]:
        """The keyword arguments with which every aiokafka client reaches the brokers.

        Raises:
            MissingError: a certificate or key file cannot be used.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.kafka_security_protocol.startswith("SASL_") and self.kafka_sasl_password is not None:
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        doing = f"kafka_ssl_cafile {self.kafka_ssl_cafile}"
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
            context.check_hostname = self.kafka_ssl_check_hostname
            if self.kafka_ssl_certfile is not None:
                doing = f"kafka_ssl_certfile {self.kafka_ssl_certfile}"
                password = self.kafka_ssl_password
                context.load_cert_chain(
                    self.kafka_ssl_certfile,
                    self.kafka_ssl_keyfile,
                    # Without a password OpenSSL would ask for one at the terminal; an empty one fails.
                    "" if password is None else password.get_secret_value(),
                )
        except OSError as error:  # also ssl.SSLError
            raise MissingError(f"{doing} cannot be used: {error.strerror or error}") from error
        return context

    def environment(self) -> dict[str, str]:
        """The variables that give another process these settings, in any directory. Secrets are among them."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            variable_name(name): _as_variable(value) for name, value in values.items() if value is not None
        }

    def origin(self, name: str) -> str:
        """Where the value of a setting came from: a flag, a variable, a file, or "default"."""
        return self._origins.get(name, "default")

    def show(self) -> list[SettingRow]:
        """Every setting, in the order of the schema, with secrets masked."""
        rows = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                text = "none"
            elif isinstance(value, SecretStr):
                text = MASK
            elif isinstance(value, bool):
                text = str(value).lower()
            else:
                text = str(value)
            rows.append(SettingRow(name, text, self.origin(name)))
        return rows


_NAMES = Names(
    settings=tuple(Settings.model_fields),
    secrets=SECRETS,
    paths=frozenset(
        name for name, field in Settings.model_fields.items() if field.annotation in (Path, Path | None)
    ),
    may_be_empty=frozenset({"topic_prefix", "web_trusted_proxies"}),
)


def _as_variable(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value.absolute())
        case _:
            return str(value)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Read, merge and validate the settings. Every command and the worker call it once at their start.

    Args:
        flags: values from the command line by setting name; None means that a flag was not given. `config` names the
            settings file.
        environ: the environment; by default that of the process.
        cwd: the directory of `ott.toml`, where relative paths start; by default the working directory.

    Raises:
        UsageError: a name is unknown, or a value is not allowed; the message names both.
        MissingError: a file that was named cannot be read.
    """
    merged = merge(
        _NAMES,
        flags or {},
        os.environ if environ is None else environ,
        Path.cwd() if cwd is None else cwd,
    )
    try:
        settings = Settings.model_validate(merged.values)
    except ValidationError as error:
        raise UsageError("; ".join(_explain(details, merged) for details in error.errors())) from error
    settings._origins.update(merged.origins)  # noqa: SLF001 - the origins are set here and nowhere else
    return settings


def _explain(details: ErrorDetails, merged: Merged) -> str:
    if not details["loc"]:
        return details["msg"].removeprefix("Value error, ")
    name = str(details["loc"][0])
    value = MASK if name in SECRETS else repr(str(merged.values.get(name)))
    return f"{name} = {value} ({merged.origins[name]}) is not allowed; allowed: {_allowed(name)}"


def _allowed(name: str) -> str:
    field = Settings.model_fields[name]
    lowest, highest = (
        next((getattr(limit, side) for limit in field.metadata if hasattr(limit, side)), None)
        for side in ("ge", "le")
    )
    return field.description or f"{lowest} to {highest}"
