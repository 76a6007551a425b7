"""Settings: their sources, which source wins, and the errors for invalid values."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from foundry.settings import BadSetting, Loaded, Settings, load, loopback


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    kind, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, plain).decode()


PEM = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory and a working directory of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(loaded: Loaded, name: str) -> tuple[str, str]:
    """Value and source, as `foundry config check` prints them."""
    return next((row.value, row.source) for row in loaded.rows() if row.name == name)


def test_without_any_source_the_defaults_hold(home: Path) -> None:
    settings = load(environ={}).settings
    assert (settings.host, settings.port) == ("127.0.0.1", 7741)
    assert settings.data_dir == home / ".local" / "share" / "foundry"
    assert settings.url == "http://127.0.0.1:7741"
    assert not settings.auto_publish
    assert not settings.devkit_sign_in


def test_the_data_directory_follows_xdg_and_the_tilde(home: Path) -> None:
    assert load(environ={"XDG_DATA_HOME": "/data"}).settings.data_dir == Path("/data/foundry")
    assert load(environ={"FOUNDRY_DATA_DIR": "~/here"}).settings.data_dir == home / "here"


def test_flags_are_stronger_than_the_environment_and_that_than_the_file(home: Path) -> None:
    file = home / "foundry.toml"
    file.write_text('host = "::1"\nport = 1\nlog_level = "DEBUG"\n')
    loaded = load({"port": 3, "host": None}, {"FOUNDRY_PORT": "2", "FOUNDRY_HOST": "127.0.0.2"}, file)
    assert shown(loaded, "port") == ("3", "--port")
    assert shown(loaded, "host") == ("127.0.0.2", "FOUNDRY_HOST")
    assert shown(loaded, "log_level") == ("DEBUG", str(file))
    assert shown(loaded, "auto_publish") == ("False", "default")


def test_the_file_in_the_home_directory_is_read(home: Path) -> None:
    file = home / ".config" / "foundry" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('agent_launchers = { mock = ["python", "-m", "x"] }\n')
    assert load(environ={}).settings.agent_launchers == {"mock": ["python", "-m", "x"]}


def test_a_file_that_was_named_must_be_there(home: Path) -> None:
    with pytest.raises(BadSetting, match="does not exist"):
        load(environ={}, config=home / "absent.toml")


def test_a_file_that_is_no_toml_is_named(home: Path) -> None:
    file = home / "foundry.toml"
    file.write_text("port = \n")
    with pytest.raises(BadSetting, match=r"foundry\.toml"):
        load(environ={}, config=file)


def test_launchers_come_as_json() -> None:
    loaded = load(environ={"FOUNDRY_AGENT_LAUNCHERS": '{"mock": ["a", "b"]}'})
    assert loaded.settings.agent_launchers == {"mock": ["a", "b"]}
    assert shown(loaded, "agent_launchers") == ('{"mock": ["a", "b"]}', "FOUNDRY_AGENT_LAUNCHERS")


@pytest.mark.parametrize(("text", "meant"), [("1", True), ("true", True), ("yes", True), ("0", False), ("off", False)])
def test_switches_take_the_usual_words(text: str, meant: bool) -> None:
    assert load(environ={"FOUNDRY_AUTO_PUBLISH": text}).settings.auto_publish is meant


def test_an_empty_variable_is_not_set() -> None:
    assert load(environ={"FOUNDRY_PORT": "", "FOUNDRY_DATABASE_URL": ""}).settings.port == 7741


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("FOUNDRY_PORT", "many", "port"),
        ("FOUNDRY_PORT", "65536", "port"),
        ("FOUNDRY_LOG_LEVEL", "LOUD", "log_level"),
        ("FOUNDRY_AUTO_PUBLISH", "perhaps", "auto_publish"),
        ("FOUNDRY_AGENT_LAUNCHERS", "{", "agent_launchers"),
        ("FOUNDRY_AGENT_LAUNCHERS", '{"mock": "one text"}', "agent_launchers"),
        ("FOUNDRY_DATABASE_URL", "mysql://x/y", "database_url"),
        ("FOUNDRY_PUBLIC_URL", "foundry.example", "public_url"),
        ("FOUNDRY_GITHUB_API_URL", "ftp://github.example", "github_api_url"),
        ("SMEE_URL", "smee", "smee_url"),
    ],
)
def test_a_bad_value_is_refused_by_name(variable: str, value: str, field: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(environ={variable: value})
    assert caught.value.field == field
    assert field in caught.value.detail or variable in caught.value.detail
    assert caught.value.remedy


def test_a_bad_value_names_its_source(home: Path) -> None:
    file = home / "foundry.toml"
    file.write_text('port = "x"\n')
    with pytest.raises(BadSetting, match=r"port \(from .*foundry\.toml\)"):
        load(environ={}, config=file)
    with pytest.raises(BadSetting, match=r"port \(from FOUNDRY_PORT\)"):
        load(environ={"FOUNDRY_PORT": "x"}, config=None)
    with pytest.raises(BadSetting, match=r"port \(from --port\)"):
        load({"port": "x"}, {})


def test_what_is_not_known_is_warned_about_and_nothing_else(home: Path) -> None:
    file = home / "foundry.toml"
    file.write_text("colour = 1\n")
    loaded = load(environ={"FOUNDRY_PROT": "1", "FOUNDRY_NO_SKIPS": "1", "HOME": "/x"}, config=file)
    assert loaded.warnings == [
        f"unknown setting 'colour' in {file}",
        "unknown setting 'FOUNDRY_PROT' in the environment",
    ]


@pytest.mark.parametrize("key", ["short", "long enough for one key,short"])
def test_a_short_secret_key_is_refused_and_a_comma_explained(key: str) -> None:
    with pytest.raises(BadSetting, match="fewer than 16 bytes") as caught:
        load(environ={"FOUNDRY_SECRET_KEY": key, "HOME": "/x"})
    assert key not in caught.value.detail
    assert "If the comma belongs to a single key" in caught.value.remedy


def test_secrets_are_masked() -> None:
    given = {
        "FOUNDRY_SECRET_KEY": "s3cret-key-long-enough",
        "FOUNDRY_GITHUB_CLIENT_SECRET": "s3cret-client",
        "FOUNDRY_GITHUB_WEBHOOK_SECRET": "s3cret-hook",
        "FOUNDRY_DAYTONA_API_KEY": "s3cret-day",
        "FOUNDRY_DATABASE_URL": "postgresql://foundry:s3cret-word@db:5432/foundry",
    }
    loaded = load(environ=given)
    assert "s3cret" not in repr(loaded.rows())
    assert shown(loaded, "secret_key") == ("********", "FOUNDRY_SECRET_KEY")
    assert shown(loaded, "database_url")[0] == "postgresql://foundry:********@db:5432/foundry"
    assert shown(loaded, "github_app_private_key") == ("", "default")


def test_every_setting_is_described() -> None:
    assert all(row.description for row in load(environ={}).rows())


def test_a_private_key_comes_as_text_as_one_line_or_as_a_file(home: Path) -> None:
    (home / "app.pem").write_text(PEM)
    for given in (PEM, PEM.replace("\n", "\\n"), str(home / "app.pem"), "~/app.pem"):
        loaded = load(environ={"FOUNDRY_GITHUB_APP_ID": "1", "FOUNDRY_GITHUB_APP_PRIVATE_KEY": given})
        assert loaded.settings.private_key() == PEM


@pytest.mark.parametrize(
    "given",
    [
        "a-key-in-the-wrong-form",
        PEM.replace("MII", "wrong-form"),
        PEM[: len(PEM) // 2],
        pem(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["no PEM", "garbled", "cut off", "not RSA"],
)
def test_a_private_key_that_cannot_be_used_is_refused_without_showing_it(given: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(environ={"FOUNDRY_GITHUB_APP_ID": "1", "FOUNDRY_GITHUB_APP_PRIVATE_KEY": given})
    assert caught.value.field == "github_app_private_key"
    assert "wrong-form" not in caught.value.detail


def test_the_app_needs_both_its_id_and_its_key() -> None:
    with pytest.raises(BadSetting):
        load(environ={"FOUNDRY_GITHUB_APP_ID": "1"})
    assert not load(environ={}).settings.github_configured


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "foundry.example"])
def test_sample_people_are_never_offered_beyond_this_machine(host: str) -> None:
    with pytest.raises(BadSetting, match="must not listen") as caught:
        load({"devkit_sign_in": True, "host": host}, {})
    assert caught.value.field == "host"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_sample_people_are_offered_on_this_machine(host: str) -> None:
    assert load({"devkit_sign_in": True, "host": host}, {}).settings.devkit_sign_in
    assert loopback(host)


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:7741"), ("::", "http://[::1]:7741"), ("h", "http://h:7741")]
)
def test_browsers_get_an_address_they_can_open(host: str, url: str) -> None:
    assert Settings(host=host).url == url
    assert Settings(host=host, public_url="https://foundry.example/").url == "https://foundry.example"


def test_smee_comes_from_the_optional_env_files_the_last_one_winning(home: Path) -> None:
    """R27: `~/misc/env.txt`, `~/misc/the-foundry.env`, `.env`, then the shell."""
    (home / "misc").mkdir()
    (home / "misc" / "env.txt").write_text("SMEE_URL=https://smee.test/a\nSMEE_TARGET=http://127.0.0.1:1/a\nPATH=/x\n")
    assert shown(load(environ={}), "smee_url") == ("https://smee.test/a", "~/misc/env.txt")
    (home / "misc" / "the-foundry.env").write_text("# theirs\nexport SMEE_URL='https://smee.test/b'\n")
    assert shown(load(environ={}), "smee_url") == ("https://smee.test/b", "~/misc/the-foundry.env")
    (home / ".env").write_text('SMEE_URL="https://smee.test/c"\nFOUNDRY_PORT=1\n')
    loaded = load(environ={})
    assert shown(loaded, "smee_url") == ("https://smee.test/c", ".env")
    assert shown(loaded, "smee_target") == ("http://127.0.0.1:1/a", "~/misc/env.txt")
    assert loaded.settings.port == 7741  # the files speak for Smee alone
    assert shown(load(environ={"SMEE_URL": "https://smee.test/d"}), "smee_url") == ("https://smee.test/d", "SMEE_URL")


def test_smee_delivers_to_the_backends_webhook_path_by_default() -> None:
    assert load(environ={}).settings.smee_target == "http://127.0.0.1:7741/api/rivet/app/webhooks/github"
