"""The server's settings: read once, at the edge, from tocsin.toml and TOCSIN_* variables, into a frozen object."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tocsin.model.errors import InvalidSetting

__all__ = ["Settings", "default_data_dir", "load_settings"]


def default_data_dir() -> Path:
    """/var/lib/tocsin for root, the user's own data folder for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/tocsin")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "tocsin"


class Settings(BaseSettings):
    """Every setting of the server; docs/configuration.md is made from this declaration."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", extra="forbid", frozen=True)

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
    webhook_url: str = Field("", description="Where new alerts are sent, in the Standard Webhooks format.")
    webhook_secret: str = Field("", description="Secret that signs webhooks: whsec_ and base64; made if empty.")
    poll_s: float = Field(0.05, gt=0, le=10, description="Longest wait of a consumer for new batches, in seconds.")
    lake_flush_s: float = Field(30.0, gt=0, description="Age at which buffered events are written to the lake, in s.")
    lake_flush_rows: int = Field(250_000, ge=1, description="Buffered events at which the lake is written earlier.")
    retention_days: int = Field(90, ge=1, description="Days that events stay in the lake.")
    log_retention_hours: int = Field(24, ge=1, description="Hours that read batches stay in the log.")

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
        return self.public_url or f"{scheme}://{self.host}:{self.port}"


def load_settings(path: Path | None = None, **overrides: object) -> Settings:
    """Settings from a TOML file (tocsin.toml here if none is named), variables and overrides.

    Raises:
        InvalidSetting: names the file or variable, the setting, and what is wrong.
    """
    source = path or Path("tocsin.toml")
    if path is not None and not path.exists():
        raise InvalidSetting(f"{path}: no such file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=source)

    try:
        return FromFile(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # validated by pydantic
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidSetting(f"{source} or TOCSIN_{name.upper()}: {name}: {first['msg']}") from error
