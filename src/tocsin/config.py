"""The server's settings: read once, at the edge, from tocsin.toml and TOCSIN_* variables, into a frozen object."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
import socket
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tocsin.model.errors import InvalidSetting

__all__ = ["EVERY_ADDRESS", "Settings", "default_data_dir", "load_settings", "strange_variables"]

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 -- compared, not bound
_PREFIX = "TOCSIN_"
_NEAR = 0.7  # of difflib's ratio: a letter or two
# What is read elsewhere: by the commands about feeds, and by processes from their supervisor.
_NO_SETTINGS = frozenset(
    {"TOCSIN_FEED_PASSWORD", "TOCSIN_FEED_TOKEN", "TOCSIN_INSTANCE", "TOCSIN_QUIET", "TOCSIN_SUPERVISOR"}
)
_SECRET_PREFIX = "whsec_"  # noqa: S105 -- what every secret of Standard Webhooks starts with


def default_data_dir() -> Path:
    """/var/lib/tocsin for root, the user's own data folder for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/tocsin")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "tocsin"


class Settings(BaseSettings):
    """Every setting of the server; docs/configuration.md is made from this declaration."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    data_dir: Path = Field(
        default_factory=default_data_dir, description="Folder of everything that is kept: log, lake, state, keys."
    )
    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback is served over TLS.")
    port: int = Field(8321, ge=0, le=65_535, description="Port of the console, the API and ingest.")
    public_url: str = Field("", description="URL that people and agents use, if it is not the address listened on.")
    org: str = Field("default", description="Name of the org that is made at the first start.")
    state_url: str = Field("", description="SQLAlchemy URL of the state; SQLite in data_dir if empty.")
    log_partitions: int = Field(4, ge=1, le=1024, description="Partitions of the embedded log.")
    rules: list[Path] = Field([], description="Folders or files of Sigma rules besides the built-in rulesets.")
    rulesets: list[str] = Field(["base"], description="Built-in rulesets to use.")
    noise_budget: int = Field(0, ge=0, description="Alerts a day after which a rule is staged; 0 is no limit.")
    webhook_url: str = Field("", description="Where new alerts are sent, in the Standard Webhooks format.")
    webhook_secret: str = Field("", description="Secret that signs webhooks: whsec_ and base64; made if empty.")
    poll_s: float = Field(0.05, gt=0, le=10, description="Longest wait of a consumer for new batches, in seconds.")
    lake_flush_s: float = Field(30.0, gt=0, description="Age at which buffered events are written to the lake, in s.")
    lake_flush_rows: int = Field(250_000, ge=1, description="Buffered events at which the lake is written earlier.")
    retention_days: int = Field(90, ge=1, description="Days that events stay in the lake.")
    log_retention_hours: int = Field(24, ge=1, description="Hours that read batches stay in the log.")
    correlation_lateness_s: float = Field(
        10.0, ge=0, description="How much later than its successors an event may come and still count in every window."
    )
    correlation_idle_s: float = Field(
        30.0, gt=0, description="Seconds after which correlations do not wait for an origin that sends nothing."
    )
    correlation_matches: int = Field(
        500_000, ge=1000, description="Matches of an org that its windows hold; beyond that the oldest groups go."
    )
    correlation_matches_per_group: int = Field(
        10_000, ge=10, description="Matches that one group of a correlation holds; beyond that its oldest go."
    )
    intel_hunt_days: int = Field(
        30, ge=0, description="Days of history that are searched for indicators when they arrive; 0 searches none."
    )

    agent_offline_s: float = Field(
        300.0,
        ge=0,
        description="Silence in seconds after which an alert says that an agent is offline; 0 says nothing.",
    )
    agent_clones: int = Field(
        20, ge=0, description="Clones of one host's image whose agents may join within a day by themselves; 0 is none."
    )
    agent_certificates: Literal["off", "issued", "required"] = Field(
        "off",
        description="Client certificates of agents over TLS: none, issued and checked where shown, or required.",
    )
    agent_packages: Path | None = Field(
        None,
        description="Folder of the agent's deb and rpm, which /install.sh then installs on hosts; none if not set.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over variables, variables over the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("webhook_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError(f"{url!r} is no http:// or https:// URL")
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _is_secret(cls, secret: str) -> str:
        try:
            good = not secret or (
                secret.startswith(_SECRET_PREFIX)
                and base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
            )
        except binascii.Error:
            good = False
        if not good:
            raise ValueError("must be whsec_ and base64")  # without the value, which is a secret
        return secret

    @property
    def state(self) -> str:
        """URL of the state."""
        return self.state_url or f"sqlite:///{self.data_dir / 'state.db'}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def url(self) -> str:
        """What people type into the browser."""
        scheme = "http" if self.loopback else "https"
        host = _outward_address(self.host) if self.host in EVERY_ADDRESS else self.host
        return self.public_url or f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


def load_settings(path: Path | None = None, **overrides: object) -> Settings:
    """Settings from a TOML file (tocsin.toml here if none is named), variables and overrides.

    Raises:
        InvalidSetting: names the file or variable, the setting, and what is wrong.
    """
    _refuse_misspelt(os.environ)
    source = path or Path("tocsin.toml")
    if path is not None and not path.exists():
        raise InvalidSetting(f"{path}: no such file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=source)

    try:
        return FromFile(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # validated by pydantic
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{source}: not TOML: {error}") from error
    except SettingsError as error:
        raise InvalidSetting(_unreadable_variable(error)) from error
    except ValidationError as error:
        raise InvalidSetting(_sentence(error.errors()[0], source)) from error


def strange_variables(environment: Iterable[str]) -> list[str]:
    """Names of variables that look like settings and are none, nor anything else that Tocsin reads."""
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields} | _NO_SETTINGS
    return sorted(name for name in environment if name.upper().startswith(_PREFIX) and name.upper() not in known)


def _refuse_misspelt(environment: Iterable[str]) -> None:
    """Programs around Tocsin may name variables of their own after it, but hardly nearly like a setting."""
    for name in strange_variables(environment):
        near = difflib.get_close_matches(name.upper().removeprefix(_PREFIX).lower(), Settings.model_fields, 1, _NEAR)
        if near:
            raise InvalidSetting(f"{name} is not a setting; did you mean {_PREFIX}{near[0].upper()}?")


def _sentence(error: ErrorDetails, source: Path) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, 1)
        return f"{source}: {name} is not a setting" + (f"; did you mean {near[0]}?" if near else "")
    return f"{source} or TOCSIN_{name.upper()}: {name}: {error['msg'].removeprefix('Value error, ')}"


def _unreadable_variable(error: SettingsError) -> str:
    """Which variable holds a list that is not JSON; pydantic names the field in quotes."""
    named = [name for name in Settings.model_fields if f'"{name}"' in str(error)]
    variable = f"TOCSIN_{named[0].upper()}" if named else str(error)
    return f'{variable}: not JSON; a list is written like ["one", "two"]'


def _outward_address(every: str) -> str:
    """The address of this host from which it talks to others, and at which they most likely reach it."""
    family, far = (socket.AF_INET6, "2001:db8::1") if every == "::" else (socket.AF_INET, "192.0.2.1")
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))  # a datagram socket only looks up the route; nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
