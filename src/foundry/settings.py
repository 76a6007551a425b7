"""Settings: one table of names, units and defaults. Sources, weakest first: file, environment, flags.

`foundry config check` prints each value and its source, with secrets masked. A variable that is set but empty counts
as not set, because compose files leave variables like that. Smee's two settings (R27) are also read from three optional
env files, weakest first: `~/misc/env.txt`, `~/misc/the-foundry.env` and `.env` in the working directory. The
environment overrides these files.
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
from foundry.contracts.time_limits import TABLE

SMEE = ("smee_url", "smee_target")  # their environment variables have no FOUNDRY_ prefix
ENV_FILES = ("~/misc/env.txt", "~/misc/the-foundry.env", ".env")
OTHERS = ("FOUNDRY_NO_SKIPS", "FOUNDRY_TEST_CACHE", "FOUNDRY_DEMO")  # variables that only the tests and the demo read
LISTS = ("allowed_organizations", "allowed_logins")  # comma separated in the environment
SHORTEST_KEY = 16  # bytes
FOREVER = 10 * 365 * 24 * 3600.0  # seconds
WEBHOOKS = "/api/rivet/app/webhooks/github"


class BadSetting(FoundryError, code="bad_setting", status=422):
    """A setting has an invalid value."""

    remedy = "Correct the value in the source that the message names. Run `foundry config check` to see all settings."


def _data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "foundry"


class Settings(BaseModel):
    """Every setting. A field's environment variable is `FOUNDRY_` plus its name in capitals.

    The two Smee settings use `SMEE_URL` and `SMEE_TARGET`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(default_factory=_data_dir, description="Directory for all of Foundry's data.")
    database_url: str = Field("", description="postgresql://... Empty: SQLite in the data directory.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(7741, ge=0, le=65535, description="Port to listen on. 0: any free port.")
    public_url: str = Field("", description="Address that browsers and GitHub use. Empty: http://HOST:PORT.")
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="Secret that protects stored tokens: at least 16 bytes. Commas separate keys, the newest first. "
        "Empty: a 0600 key file in the data directory.",
    )
    github_app_id: str = Field("", description="Id of the GitHub App.")
    github_app_private_key: SecretStr = Field(
        SecretStr(""), description="Private key of the GitHub App: PEM text, or the path of a PEM file."
    )
    github_client_id: str = Field("", description="Client id of the GitHub App, for signing in.")
    github_client_secret: SecretStr = Field(SecretStr(""), description="Client secret of the GitHub App.")
    github_webhook_secret: SecretStr = Field(SecretStr(""), description="Secret that GitHub signs webhooks with.")
    github_api_url: str = Field("https://api.github.com", description="Address of GitHub's REST API.")
    github_web_url: str = Field("https://github.com", description="Address of GitHub's web pages.")
    allowed_organizations: list[str] = Field(
        default_factory=list,
        description="Organizations (logins or numeric ids, comma separated) whose people may sign in, and on whose "
        "accounts the App counts. Empty: every account that has the App.",
    )
    allowed_logins: list[str] = Field(
        default_factory=list,
        description="People (GitHub logins or numeric ids, comma separated) who may sign in wherever they belong. Who "
        "takes over a login gets in; an id stays one person's. *: everybody with a GitHub account.",
    )
    daytona_api_key: SecretStr = Field(SecretStr(""), description="API key for Daytona.")
    daytona_api_url: str = Field("https://app.daytona.io/api", description="Address of Daytona's API.")
    agent_launchers: dict[str, list[str]] = Field(
        default_factory=dict, description="Command that starts each agent over ACP (JSON: agent -> arguments)."
    )
    default_agent: str = Field("claude", pattern="^[a-z][a-z0-9-]*$", description="Agent for tasks that name none.")
    auto_publish: bool = Field(False, description="Publish automatically when an agent ends its turn with new commits.")
    devkit_sign_in: bool = Field(
        False, description="Sign in with the stand-in GitHub, whose sample people need no password."
    )
    session_idle_days: float = Field(
        14,
        gt=0,
        le=90,
        description="Sign people out after this many days without use. A session lasts at most 90 days in all.",
    )
    watchdog: dict[str, float] = Field(
        default_factory=dict,
        description="Override time limits per state, in seconds (JSON). docs/states.md lists the states.",
    )
    idle_minutes: float = Field(
        60,
        ge=0,
        le=FOREVER / 60,
        description="Stop a sandbox after this many minutes without use; its work is saved first. 0: never.",
    )
    archived_minutes: float = Field(
        0,
        ge=0,
        le=5_000_000,
        description="Keep an archived task's stopped sandbox for this many minutes, then remove it. 0: remove at once.",
    )
    min_free_mb: float = Field(
        500,
        ge=0,
        le=1e9,
        description="Record a runtime issue when the data directory's disk has fewer MB free than this. 0: never.",
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Lowest level of log messages to write."
    )
    smee_url: str = Field("", description="Smee channel that delivers webhooks in development.")
    smee_target: str = Field(
        f"http://127.0.0.1:7741{WEBHOOKS}",
        description="Address that the Smee client delivers webhooks to: the backend's webhook path.",
    )

    @property
    def url(self) -> str:
        """The address for browsers, without a trailing slash. A server on all addresses is reached by loopback."""
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return (self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}").rstrip("/")

    @property
    def github_configured(self) -> bool:
        return bool(self.github_app_id and self.github_app_private_key.get_secret_value())

    def private_key(self) -> str:
        r"""The App's private key. Reads the file if the setting is a path; a literal `\n` becomes a line break.

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
                f"github_app_private_key is neither PEM text nor a readable file: {type(error).__name__}",
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
    """The settings, the source of each, and warnings about unknown ones."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]

    def rows(self) -> list[Row]:
        """Return every setting, with secrets masked."""
        found: list[Row] = []
        for name, field in Settings.model_fields.items():
            value = getattr(self.settings, name)
            found.append(Row(name, _shown(value), self.sources.get(name, "default"), field.description or ""))
        return found


def _shown(value: object) -> str:
    """Mask the secrets in a value. A password inside an address counts as a secret."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, list):
        return ", ".join(str(one) for one in cast("list[object]", value))
    if isinstance(value, dict):
        return json.dumps(value)
    parts = urlsplit(text := str(value))
    return text.replace(f":{parts.password}@", ":********@", 1) if "@" in text and parts.password else text


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the default path of the settings file, used when `--config` names none."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "foundry" / "config.toml"


def load(
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> Loaded:
    """Read the settings from file, environment and flags.

    Raises:
        BadSetting: a value is invalid, or two settings contradict each other.
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
            warnings.append(f"unknown setting {name!r} in {path}")
    for name, (text, file) in _smee_files().items():
        values[name], sources[name] = text, file
    for variable, text in environ.items():
        name = _setting_of(variable)
        if name is None or not text:
            continue
        if name in Settings.model_fields:
            values[name], sources[name] = _parsed(name, text, variable), variable
        else:
            warnings.append(f"unknown setting {variable!r} in the environment")
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
    """Return the setting's name for an environment variable, or None if the variable is not one of Foundry's."""
    if variable.startswith("FOUNDRY_") and variable not in OTHERS:
        return variable.removeprefix("FOUNDRY_").lower()
    return variable.lower() if variable.lower() in SMEE and variable.isupper() else None


def _smee_files() -> dict[str, tuple[str, str]]:
    """Read SMEE_URL and SMEE_TARGET from the optional env files, each with its file's path. The last file wins."""
    found: dict[str, tuple[str, str]] = {}
    for path in ENV_FILES:
        try:
            lines = Path(path).expanduser().read_text().splitlines()
        except (OSError, UnicodeDecodeError, RuntimeError):
            continue  # optional: the file is absent or unreadable, or there is no home directory
        for line in lines:
            name, is_one, value = line.strip().removeprefix("export ").partition("=")
            value = value.strip().strip("\"'")
            if is_one and value and name.strip().isupper() and (key := name.strip().lower()) in SMEE:
                found[key] = value, path
    return found


def _file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise BadSetting(f"the settings file {path} does not exist", field="config")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise BadSetting(f"{path}: {error}", field="config") from None


def _parsed(name: str, text: str, variable: str) -> object:
    if name in LISTS:
        return [one.strip() for one in text.split(",") if one.strip()]
    if name not in ("agent_launchers", "watchdog"):
        return text
    try:
        return cast("object", json.loads(text))
    except ValueError:
        raise BadSetting(f"{variable} is not valid JSON", field=name) from None


def loopback(host: str) -> bool:
    """Return True if only this machine can reach a server that listens on this host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(settings: Settings) -> None:
    """Check the rules that involve more than one setting, and the forms that pydantic does not check.

    Raises:
        BadSetting: a rule is broken.
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
                f"watchdog: {limit:g} is not a valid time limit for {what!r}"
                if what in TABLE
                else f"watchdog: unknown state {what!r}",
                field="watchdog",
                remedy=f"Give a number of seconds for any of these states: {', '.join(TABLE)}.",
            )
    given = settings.secret_key.get_secret_value()
    keys = [key for part in given.split(",") if (key := part.strip())]
    if any(len(key.encode()) < SHORTEST_KEY for key in keys):
        which = f"one of its {len(keys)} keys, which commas separate," if len(keys) > 1 else "it"
        raise BadSetting(
            f"secret_key: {which} has fewer than {SHORTEST_KEY} bytes",
            field="secret_key",
            remedy="Use a longer key. If the comma belongs to a single key of an earlier release, write that key into "
            "the file secret.key in the data directory (chmod 600), and leave the setting empty.",
        )
    scheme = urlsplit(settings.database_url).scheme
    if settings.database_url and scheme not in ("postgresql", "postgres", "sqlite"):
        raise BadSetting(
            f"database_url: {f'scheme {scheme!r} is not supported' if scheme else 'the address has no scheme'}",
            field="database_url",
            remedy="Use postgresql://user:password@host/name, or leave it empty for SQLite in the data directory.",
        )
    for name in ("public_url", "github_api_url", "github_web_url", "daytona_api_url", "smee_url", "smee_target"):
        parts = urlsplit(address := str(getattr(settings, name)))
        if address and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise BadSetting(f"{name}: {address} is not an http or https address", field=name)
    if bool(settings.github_app_id) != bool(settings.github_app_private_key.get_secret_value()):
        raise BadSetting("the GitHub App needs both its id and its private key", field="github_app_id")
    if pem := settings.private_key():
        _check_key(pem)


def _check_key(pem: str) -> None:
    """Check the key at start-up, because a failing call to GitHub would be retried again and again."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSetting(
            f"github_app_private_key is not a private key in PEM form: {type(error).__name__}",
            field="github_app_private_key",
            remedy="Download a key from the GitHub App's settings page and set the file's path.",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadSetting(
            "github_app_private_key is not an RSA key; GitHub Apps use RSA", field="github_app_private_key"
        )
