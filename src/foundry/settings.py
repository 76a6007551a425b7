"""Settings: one table of names, units and defaults; sources in rising strength: file, environment, flags.

`foundry config check` prints what is in force and where it came from, secrets masked. A variable that is set but empty
counts as not set, as compose files leave it. For Smee alone (R27) three optional env files are read, weakest first:
`~/misc/env.txt`, `~/misc/the-foundry.env` and `.env` in the working directory; the environment is stronger.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from foundry.contracts.errors import FoundryError
from foundry.contracts.overdue import TABLE

SMEE = ("smee_url", "smee_target")  # their variables have no FOUNDRY_ before them
ENV_FILES = ("~/misc/env.txt", "~/misc/the-foundry.env", ".env")
OTHERS = ("FOUNDRY_NO_SKIPS", "FOUNDRY_TEST_CACHE", "FOUNDRY_DEMO")  # variables of the tests and the demo
FOREVER = 10 * 365 * 24 * 3600.0  # seconds
WEBHOOKS = "/api/rivet/app/webhooks/github"


class BadSetting(FoundryError, code="bad_setting", status=422):
    """A setting has a value that cannot be used."""

    remedy = "Correct it where the message says it comes from; `foundry config check` shows all settings."


def _data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "foundry"


class Settings(BaseModel):
    """Everything that can be set. A field's environment variable is `FOUNDRY_` and its name in capitals.

    Smee's two are `SMEE_URL` and `SMEE_TARGET`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=_data_dir, description="where everything is kept")
    database_url: str = Field("", description="postgresql://...; empty: SQLite in the data directory")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(7741, ge=0, le=65535, description="port to listen on; 0: any free one")
    public_url: str = Field("", description="how browsers and GitHub reach it; empty: http://HOST:PORT")
    secret_key: SecretStr = Field(SecretStr(""), description="key material; empty: a 0600 file in the data directory")
    github_app_id: str = Field("", description="the GitHub App's id")
    github_app_private_key: SecretStr = Field(SecretStr(""), description="its private key, PEM, or a path to it")
    github_client_id: str = Field("", description="the App's client id, for signing in")
    github_client_secret: SecretStr = Field(SecretStr(""), description="the App's client secret")
    github_webhook_secret: SecretStr = Field(SecretStr(""), description="what deliveries are signed with")
    github_api_url: str = Field("https://api.github.com", description="GitHub's REST API")
    github_web_url: str = Field("https://github.com", description="GitHub's pages")
    daytona_api_key: SecretStr = Field(SecretStr(""), description="Daytona's API key")
    daytona_api_url: str = Field("https://app.daytona.io/api", description="Daytona's API")
    sandbox_provider: str = Field("local", pattern="^(local)$", description="where sandboxes are made: local")
    agent_launchers: dict[str, list[str]] = Field(default_factory=dict, description="JSON: agent -> its ACP command")
    default_agent: str = Field("claude", pattern="^[a-z][a-z0-9-]*$", description="the agent of a task that names none")
    auto_publish: bool = Field(False, description="publish by itself when an agent ends its turn with new commits")
    devkit_sign_in: bool = Field(False, description="GitHub is the stand-in, whose sample people need no password")
    watchdog: dict[str, float] = Field(
        default_factory=dict, description="JSON: what may last how many seconds (docs/states.md), where not as usual"
    )
    idle_minutes: float = Field(
        60,
        ge=0,
        le=FOREVER / 60,
        description="a sandbox that nobody used for so long is stopped, its work saved; 0: never",
    )
    archived_minutes: float = Field(
        0,
        ge=0,
        le=5_000_000,
        description="an archived task's sandbox is stopped, and removed after so long; 0: at once",
    )
    min_free_mb: float = Field(
        500, ge=0, le=1e9, description="with less room on the data directory's disk a runtime issue says so; 0: never"
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="how much is logged")
    smee_url: str = Field("", description="the Smee channel that brings webhooks in development")
    smee_target: str = Field(
        f"http://127.0.0.1:7741{WEBHOOKS}",
        description="where the Smee client delivers them: the backend's webhook path",
    )

    @property
    def url(self) -> str:
        """How browsers reach it, without a trailing slash. One that listens everywhere is reached on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return (self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}").rstrip("/")

    @property
    def github_configured(self) -> bool:
        return bool(self.github_app_id and self.github_app_private_key.get_secret_value())

    def private_key(self) -> str:
        r"""The App's private key, read from its file if a path was given; `\n` written out becomes a line's end.

        Raises:
            BadSetting: the file cannot be read.
        """
        text = self.github_app_private_key.get_secret_value()
        if "-----BEGIN" in text:
            return text.replace("\\n", "\n")
        try:
            return text and Path(text).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(
                f"github_app_private_key is neither a PEM nor a file that can be read: {type(error).__name__}",
                field="github_app_private_key",
            ) from None


class Row(NamedTuple):
    """One line of `foundry config check`."""

    name: str
    value: str
    source: str
    description: str


@dataclass(frozen=True)
class Loaded:
    """Settings, where each came from, and what was not understood."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]

    def rows(self) -> list[Row]:
        """Every setting, secrets masked."""
        found: list[Row] = []
        for name, field in Settings.model_fields.items():
            value = getattr(self.settings, name)
            found.append(Row(name, _shown(value), self.sources.get(name, "default"), field.description or ""))
        return found


def _shown(value: object) -> str:
    """A value without its secrets; a password within an address is one too."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, dict):
        return json.dumps(value)
    parts = urlsplit(text := str(value))
    return text.replace(f":{parts.password}@", ":********@", 1) if "@" in text and parts.password else text


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the settings file is looked for, if `--config` names none."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "foundry" / "config.toml"


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Loaded:
    """Read the settings from file, environment and flags.

    Raises:
        BadSetting: one has a value that cannot be used, or they do not fit together.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {"data_dir": _data_dir(environ)}
    sources: dict[str, str] = {}
    warnings: list[str] = []

    path = config or config_path(environ)
    for name, value in _file(path, required=config is not None).items():
        if name in Settings.model_fields:
            values[name], sources[name] = value, str(path)
        else:
            warnings.append(f"{path} has {name}, which is no setting")
    for name, (text, file) in _smee_files().items():
        values[name], sources[name] = text, file
    for variable, text in environ.items():
        name = _setting_of(variable)
        if name is None or not text:
            continue
        if name in Settings.model_fields:
            values[name], sources[name] = _parsed(name, text, variable), variable
        else:
            warnings.append(f"{variable} is set, which is no setting")
    for name, value in (flags or {}).items():
        if value is not None:
            values[name], sources[name] = value, f"--{name.replace('_', '-')}"
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        where = sources.get(name, "default")
        raise BadSetting(f"{name} (from {where}): {first['msg']}", field=name) from None
    settings = settings.model_copy(update={"data_dir": settings.data_dir.expanduser().absolute()})
    check(settings)
    return Loaded(settings, sources, warnings)


def _setting_of(variable: str) -> str | None:
    """The name of the setting that an environment variable would be of; None: it is none of Foundry's."""
    if variable.startswith("FOUNDRY_") and variable not in OTHERS:
        return variable.removeprefix("FOUNDRY_").lower()
    return variable.lower() if variable.lower() in SMEE and variable.isupper() else None


def _smee_files() -> dict[str, tuple[str, str]]:
    """SMEE_URL and SMEE_TARGET from the optional env files, each with the file it stands in; the last one wins."""
    found: dict[str, tuple[str, str]] = {}
    for path in ENV_FILES:
        try:
            lines = Path(path).expanduser().read_text().splitlines()
        except (OSError, UnicodeDecodeError, RuntimeError):
            continue  # optional: absent, unreadable, or there is no home
        for line in lines:
            name, is_one, value = line.strip().removeprefix("export ").partition("=")
            value = value.strip().strip("\"'")
            if is_one and value and name.strip().isupper() and (key := name.strip().lower()) in SMEE:
                found[key] = value, path
    return found


def _file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise BadSetting(f"there is no file {path}", field="config")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise BadSetting(f"{path}: {error}", field="config") from None


def _parsed(name: str, text: str, variable: str) -> object:
    if name not in ("agent_launchers", "watchdog"):
        return text
    try:
        return cast("object", json.loads(text))
    except ValueError:
        raise BadSetting(f"{variable} is no JSON", field=name) from None


def loopback(host: str) -> bool:
    """Whether only this machine reaches who listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(settings: Settings) -> None:
    """What only makes sense together.

    Raises:
        BadSetting: it does not.
    """
    if settings.devkit_sign_in and not loopback(settings.host):
        raise BadSetting(
            f"sample people need no password, so the server must not listen on {settings.host or 'every address'}",
            field="host",
            remedy="Listen on 127.0.0.1, or connect a real GitHub App and turn devkit_sign_in off.",
        )
    for what, limit in settings.watchdog.items():
        if what not in TABLE or not 0 < limit < FOREVER:
            raise BadSetting(
                f"watchdog: {what}: {limit:g} " + ("is no time" if what in TABLE else "is about nothing it watches"),
                field="watchdog",
                remedy=f"Give seconds, for any of: {', '.join(TABLE)}.",
            )
    scheme = urlsplit(settings.database_url).scheme
    if settings.database_url and scheme not in ("postgresql", "postgres", "sqlite"):
        raise BadSetting(
            f"database_url: no database is reached by {scheme or 'a text without a scheme'}",
            field="database_url",
            remedy="Use postgresql://user:password@host/name, or leave it empty for SQLite in the data directory.",
        )
    for name in ("public_url", "github_api_url", "github_web_url", "daytona_api_url", "smee_url", "smee_target"):
        parts = urlsplit(address := str(getattr(settings, name)))
        if address and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise BadSetting(f"{name}: {address} is no http or https address", field=name)
    if bool(settings.github_app_id) != bool(settings.github_app_private_key.get_secret_value()):
        raise BadSetting("the GitHub App needs both its id and its private key", field="github_app_id")
    if pem := settings.private_key():
        _check_key(pem)


def _check_key(pem: str) -> None:
    """Here rather than at the first call to GitHub, which would be tried again and again."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSetting(
            f"github_app_private_key is no private key in PEM form: {type(error).__name__}",
            field="github_app_private_key",
            remedy="Download one from the GitHub App's settings page and give the file's path.",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadSetting("github_app_private_key is no RSA key, as GitHub's are", field="github_app_private_key")
