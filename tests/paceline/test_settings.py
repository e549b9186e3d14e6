"""The environment becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from paceline.option import mask_url
from paceline.options import options
from paceline.settings import Settings, SettingsError, env_example, load_settings, read_settings
from paceline.wiring import signup_of
from services.notifications.vapid import make_vapid_key

ROOT = Path(__file__).resolve().parents[2]
KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    + base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + bytes(range(32))).decode()
    + "\n-----END PRIVATE KEY-----\n"
)


def faults_of(environ: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return {fault.variable: f"{fault.problem}. {fault.cure}" for fault in caught.value.faults}


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = load_settings({"PATH": "/bin", "HOME": "/root"})
    assert settings == Settings()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8080, Path(".data"))
    assert settings.roles == ("gateway", "worker", "relay", "scheduler")
    assert settings.embedded_postgres
    assert settings.embedded_redis
    assert settings.runs_demo


def test_a_variable_set_to_the_empty_text_counts_as_not_set() -> None:
    assert load_settings({"PACELINE_PORT": "", "DATABASE_URL": " "}) == Settings()


def test_values_become_what_they_stand_for() -> None:
    settings = load_settings(
        {
            "DATABASE_URL": "postgresql://app:pw@db/paceline",
            "REDIS_URL": "unix:///run/redis.sock",
            "PACELINE_ROLES": "worker, gateway",
            "PACELINE_BOARD_HZ": "2.5",
            "PACELINE_ALLOWED_ORIGINS": "https://App.example.org/, http://localhost:3000",
            "PACELINE_LOG_LEVEL": "DEBUG",
            "PACELINE_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.7,fd00::/8",
        }
    )
    assert settings.roles == ("gateway", "worker")
    assert settings.board_hz == 2.5
    assert settings.allowed_origins == ("https://app.example.org", "http://localhost:3000")
    assert settings.log_level == "debug"
    assert [str(one) for one in settings.trusted_proxies] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
    assert "10.0.0.0/8,192.0.2.7/32" in repr(settings)
    assert not settings.embedded_postgres
    assert not settings.runs_demo


def test_every_fault_is_listed_at_once() -> None:
    faults = faults_of(
        {
            "PACELINE_PORT": "99999",
            "PACELINE_BOARD_HZ": "fast",
            "PACELINE_COACH_SIGNUP": "perhaps",
            "PACELINE_ALLOWED_ORIGINS": "*",
            "PACELINE_DB_POOL": "1",
            "REDIS_URL": "http://cache/",
            "PACELINE_NODE_ID": "Node 1",
            "PACELINE_ROLES": "gateway,cook",
        }
    )
    assert set(faults) == {
        "PACELINE_PORT",
        "PACELINE_BOARD_HZ",
        "PACELINE_COACH_SIGNUP",
        "PACELINE_ALLOWED_ORIGINS",
        "PACELINE_DB_POOL",
        "REDIS_URL",
        "PACELINE_NODE_ID",
        "PACELINE_ROLES",
    }
    assert "from 0 to 65535" in faults["PACELINE_PORT"]
    assert "cook" in faults["PACELINE_ROLES"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PACELINE_PORT", "-1"),
        ("PACELINE_PORT", "8080.0"),
        ("PACELINE_PORT", "8_080"),
        ("PACELINE_PORT", "٨٠٨٠"),
        ("PACELINE_BOARD_HZ", "nan"),
        ("PACELINE_BOARD_HZ", "inf"),
        ("PACELINE_BOARD_HZ", "0"),
        ("PACELINE_COMMIT_INTERVAL_MS", "9" * 40),
        ("PACELINE_ALLOWED_ORIGINS", "https://app.example.org/path"),
        ("PACELINE_ALLOWED_ORIGINS", "https://user@app.example.org"),
        ("DATABASE_URL", "postgresql://db:port/x"),
        ("DATABASE_URL", "postgresql:///nohost"),
        ("PACELINE_ROLES", " , "),
        ("PACELINE_DATA_DIR", "a\0b"),
        ("PACELINE_HOST", "two words"),
        ("PACELINE_ADMIN_TOKEN", "guessable"),
        ("PACELINE_ADMIN_TOKEN", "has a space in it, and is long"),
        ("PACELINE_ADMIN_TOKEN", "Schlüssel-der-lang-genug-wäre"),
        ("PACELINE_SEALING_KEYS", "not base64!"),
        ("PACELINE_SEALING_KEYS", "c2hvcnQ="),
        ("PACELINE_OUTBOUND_ALLOW", "localhost"),
        ("PACELINE_OUTBOUND_PROXY", "socks5://proxy.example.org:1080"),
        ("PACELINE_ADMIN_UI", "everything"),
        ("PACELINE_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PACELINE_TRUSTED_PROXIES", "proxy.example.org"),
        ("PACELINE_DRAIN_S", "-1"),
        ("PACELINE_MAX_CONNECTIONS", "0"),
        ("PACELINE_CONNECTIONS_PER_SECOND", "0"),
    ],
)
def test_a_value_that_does_not_fit_is_a_fault_of_its_variable(variable: str, value: str) -> None:
    assert list(faults_of({variable: value})) == [variable]


def test_an_unknown_option_is_a_fault_that_names_the_nearest_one() -> None:
    assert "PACELINE_PORT?" in faults_of({"PACELINE_PROT": "1"})["PACELINE_PROT"]
    assert "PACELINE_TOKEN_KEY_FILE?" in faults_of({"PACELINE_TOKEN_KEYFILE": "1"})["PACELINE_TOKEN_KEYFILE"]
    assert " DATABASE_URL?" in faults_of({"PACELINE_DATABASE_URL": "1"})["PACELINE_DATABASE_URL"]
    assert "paceline check" in faults_of({"PACELINE_XYZZY_QUUX": "1"})["PACELINE_XYZZY_QUUX"]
    assert "set PACELINE_PORT itself" in faults_of({"PACELINE_PORT_FILE": "/x"})["PACELINE_PORT_FILE"]


def test_secrets_are_read_from_mounted_files(tmp_path: Path) -> None:
    key, url = tmp_path / "key.pem", tmp_path / "url"
    key.write_text(KEY)
    url.write_text("postgresql://app:pw@db/paceline\n")
    settings = load_settings({"PACELINE_TOKEN_KEY_FILE": str(key), "DATABASE_URL_FILE": str(url)})
    assert settings.token_key == KEY
    assert settings.database_url == "postgresql://app:pw@db/paceline"


def test_a_secret_file_that_cannot_serve_is_a_fault_of_the_file_variable(tmp_path: Path) -> None:
    empty, binary, wrong = tmp_path / "empty", tmp_path / "binary", tmp_path / "wrong"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    wrong.write_text("hunter2")
    for path in (empty, binary, wrong, tmp_path / "missing", tmp_path):
        faults = faults_of({"PACELINE_TOKEN_KEY_FILE": str(path)})
        assert list(faults) == ["PACELINE_TOKEN_KEY_FILE"]
        assert "hunter2" not in str(faults)
    both = faults_of({"AMQP_URL": "amqp://mq/", "AMQP_URL_FILE": str(wrong)})
    assert "Keep one" in both["AMQP_URL_FILE"]


def test_a_signing_key_may_carry_its_line_breaks_as_backslash_n() -> None:
    assert load_settings({"PACELINE_TOKEN_KEY": KEY.replace("\n", "\\n")}).token_key == KEY


@pytest.mark.parametrize("key", ["abc", KEY.replace("PRIVATE", "PUBLIC"), KEY.replace("MC4C", "MC4D"), KEY[:60]])
def test_a_signing_key_of_another_kind_is_refused_without_being_shown(key: str) -> None:
    told = faults_of({"PACELINE_TOKEN_KEY": key})["PACELINE_TOKEN_KEY"]
    assert "openssl genpkey -algorithm ed25519" in told
    assert key not in told


def test_relations_between_options_are_checked_when_each_is_right_by_itself() -> None:
    assert "worker, relay, scheduler" in faults_of({"PACELINE_ROLES": "gateway"})["PACELINE_ROLES"]
    assert "DATABASE_URL" in faults_of({"PACELINE_DB_POOL": "60"})["PACELINE_DB_POOL"]
    few = {
        "PACELINE_DB_POOL": "2",
        "AMQP_URL": "amqp://bus/",
        "DATABASE_URL": "postgresql://db/x",
        "PACELINE_ROLES": "relay",
    }
    assert "at least 3" in faults_of(few)["PACELINE_DB_POOL"]
    assert read_settings({**few, "PACELINE_ROLES": "gateway"}).settings is not None
    demo = {"PACELINE_ROLES": "worker", "PACELINE_DEMO": "on", "DATABASE_URL": "postgresql://db/x"}
    assert list(faults_of(demo)) == ["PACELINE_DEMO"]
    tokens = {"PACELINE_ACCESS_TOKEN_MINUTES": "1440", "PACELINE_REFRESH_TOKEN_DAYS": "1"}
    assert list(faults_of(tokens)) == ["PACELINE_ACCESS_TOKEN_MINUTES"]
    assert list(faults_of({"PACELINE_PORT": "9090", "PACELINE_METRICS_PORT": "9090"})) == ["PACELINE_METRICS_PORT"]
    # DATABASE_URL is meant, though it is wrong: no second fault about the roles.
    assert list(faults_of({"PACELINE_ROLES": "gateway", "DATABASE_URL": "mysql://db/x"})) == ["DATABASE_URL"]


def test_the_table_masks_secrets_and_says_where_values_come_from() -> None:
    reading = read_settings(
        {
            "DATABASE_URL": "postgresql://app:pw1@db/paceline",
            "REDIS_URL": "redis://:pw2@cache:6379/0",
            "PACELINE_TOKEN_KEY": KEY,
            "PACELINE_ADMIN_TOKEN": "kettle-moss-anchor-violet-2031",
            "PACELINE_PORT": "none",
        }
    )
    rows = {row.variable: row for row in reading.rows}
    assert list(rows) == [one.name for one in options().values()]
    assert rows["DATABASE_URL"].shown == "postgresql://app:***@db/paceline"
    assert rows["REDIS_URL"].shown == "redis://:***@cache:6379/0"
    assert rows["PACELINE_TOKEN_KEY"].shown == "***"
    assert rows["PACELINE_ADMIN_TOKEN"].shown == "***"
    assert rows["PACELINE_HOST"].source == "default"
    assert rows["DATABASE_URL"].source == "environment"
    assert reading.settings is None
    assert [fault.variable for fault in reading.faults] == ["PACELINE_PORT"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("redis://:pw@a:1/0,unix:///run/b.sock", "redis://:***@a:1/0,unix:/run/b.sock"),
        ("redis://:pw@a,rediss://u:pw@b/1", "redis://:***@a,rediss://u:***@b/1"),
        ("redis+cluster://u:pw@a:1,b:2", "redis+cluster://u:***@a:1,b:2"),
        ("rediss+cluster://a:1/", "rediss+cluster://a:1/"),
    ],
)
def test_redis_may_be_several_servers_or_a_cluster_and_shows_no_password_of_any(value: str, shown: str) -> None:
    reading = read_settings({"REDIS_URL": value})
    assert reading.settings is not None
    assert reading.settings.redis_url == value
    assert [row.shown for row in reading.rows if row.variable == "REDIS_URL"] == [shown]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("redis://a,http://b", "does not begin with"),
        ("redis://a,redis+cluster://b:1", "stands alone"),
        ("redis+cluster://a:1/2", "one only"),
        ("redis+cluster://a:1,b:x", "port"),
        ("redis+cluster://a:1,", "names no host"),
        ("redis://a,redis://", "names no host"),
    ],
)
def test_redis_servers_that_cannot_be_are_refused(value: str, problem: str) -> None:
    assert problem in faults_of({"REDIS_URL": value})["REDIS_URL"]


def test_several_sealing_keys_are_given_the_newest_first_and_none_is_shown() -> None:
    newer, older = bytes([2]) * 32, bytes([1]) * 32
    given = ", ".join(base64.b64encode(key).decode() for key in (newer, older))
    reading = read_settings({"PACELINE_SEALING_KEYS": given})
    assert reading.settings is not None
    assert reading.settings.sealing_keys == (newer, older)
    assert [row.shown for row in reading.rows if row.variable == "PACELINE_SEALING_KEYS"] == ["***"]
    assert repr(newer) not in repr(reading.settings)


def test_a_fault_in_how_far_an_issuer_is_trusted_says_its_table_and_no_secret() -> None:
    table = '[studio]\nissuer = "https://x.example"\nclient_id = "web"\nclient_secret = "hunter2"\n[studio.tokens]\n'
    said = faults_of({"PACELINE_SIGN_IN": f'{table}audience = "web"\nscopes = {{"ride" = ["live:stream"]}}\n'})
    assert "[studio] tokens.audience" in said["PACELINE_SIGN_IN"]
    said = faults_of({"PACELINE_SIGN_IN": f'{table}audience = "us"\nscopes = {{"ride" = ["everything"]}}\n'})
    assert "everything" in said["PACELINE_SIGN_IN"]
    assert "hunter2" not in str(said)


def test_settings_never_show_a_secret_when_printed() -> None:
    admin = "kettle-moss-anchor-violet-2031"
    shown = repr(Settings(token_key=KEY, admin_token=admin, database_url="postgresql://a:pw@db/x?password=pw2"))
    assert admin not in shown
    assert "pw" not in shown.replace("password", "")
    assert KEY not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?host=/a/b&password=p", "postgresql://u@h/d?host=/a/b&password=***"),
        ("redis://h", "redis://h"),
        ("secret", "***"),
        ("http://[bad", "***"),
    ],
)
def test_passwords_in_urls_are_masked_wherever_they_stand(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_the_example_file_is_the_one_the_code_makes() -> None:
    written = (ROOT / "deploy" / "paceline.env.example").read_text("utf-8")
    assert written == env_example(), "run: python -m paceline.settings > deploy/paceline.env.example"


def test_the_defaults_in_the_example_file_are_accepted() -> None:
    lines = [line[1:] for line in env_example().splitlines() if line.startswith("#") and not line.startswith("# ")]
    assert load_settings(dict(line.split("=", 1) for line in lines)) == Settings()


# -- providers of mail, push and SMS


SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": "hunter2",
        "client_email": "a@b.example",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
)
EC_KEY = make_vapid_key().decode()
APPLE = {
    "PACELINE_APNS_KEY": EC_KEY,
    "PACELINE_APNS_KEY_ID": "KEY1234567",
    "PACELINE_APNS_TEAM_ID": "TEAM123456",
    "PACELINE_APNS_TOPIC": "org.example.paceline",
}
TEXTS = {"PACELINE_SMS_ACCOUNT": "AC1", "PACELINE_SMS_TOKEN": "hunter2-hunter2", "PACELINE_SMS_FROM": "+15005550006"}


def test_providers_are_set_up_and_their_secrets_are_not_shown() -> None:
    environ = {
        **APPLE,
        **TEXTS,
        "PACELINE_MAIL_URL": "smtps://u:hunter2@mail.example.org",
        "PACELINE_MAIL_FROM": "Paceline <no-reply@example.org>",
        "PACELINE_FCM_SERVICE_ACCOUNT": SERVICE_ACCOUNT,
        "PACELINE_VAPID_KEY": EC_KEY.replace("\n", "\\n"),
        "PACELINE_VAPID_SUBJECT": "mailto:operator@example.org",
        "PACELINE_PUBLIC_URL": "https://paceline.example.org/",
    }
    settings = load_settings(environ)
    assert settings.public_url == "https://paceline.example.org"
    assert settings.vapid_key == settings.apns_key == EC_KEY
    shown = repr(settings) + str([row.shown for row in read_settings(environ).rows])
    assert "hunter2" not in shown
    assert EC_KEY.splitlines()[1] not in shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PACELINE_MAIL_URL", "http://mail.example.org"),
        ("PACELINE_MAIL_URL", "smtp://u:hunter2@mail.example.org?starttls=off"),
        ("PACELINE_MAIL_FROM", "nobody"),
        ("PACELINE_APNS_KEY", KEY),
        ("PACELINE_APNS_KEY_ID", "key1234567"),
        ("PACELINE_APNS_URL", "api.push.apple.com"),
        ("PACELINE_FCM_SERVICE_ACCOUNT", "hunter2"),
        ("PACELINE_FCM_SERVICE_ACCOUNT", "[1]"),
        ("PACELINE_FCM_SERVICE_ACCOUNT", '{"project_id": "p"}'),
        ("PACELINE_VAPID_KEY", "hunter2"),
        ("PACELINE_VAPID_SUBJECT", "operator@example.org"),
        ("PACELINE_SMS_FROM", "+0"),
        ("PACELINE_PUBLIC_URL", "https://u:hunter2@paceline.example.org"),
        ("PACELINE_PUBLIC_URL", "https://paceline.example.org?a=1"),
        ("PACELINE_OUTBOUND_ALLOW", "10.0.0.1/8"),
    ],
)
def test_a_provider_that_cannot_be_is_a_fault_of_its_variable(variable: str, value: str) -> None:
    faults = faults_of({variable: value})
    assert list(faults) == [variable]
    assert "hunter2" not in faults[variable]


@pytest.mark.parametrize("whole", [APPLE, TEXTS])
def test_a_provider_is_set_up_whole_or_not_at_all(whole: dict[str, str]) -> None:
    load_settings(whole)
    for missing in whole:
        part = {name: value for name, value in whole.items() if name != missing}
        assert missing in faults_of(part)


def test_mail_to_a_server_needs_a_sender_and_mail_to_a_folder_does_not() -> None:
    assert list(faults_of({"PACELINE_MAIL_URL": "smtps://mail.example.org"})) == ["PACELINE_MAIL_FROM"]
    load_settings({"PACELINE_MAIL_URL": "file:///var/mail/paceline"})


def test_addresses_are_proved_first_where_mail_goes_out_unless_it_is_said_otherwise() -> None:
    mail = {"PACELINE_MAIL_URL": "file:///tmp/mails"}
    assert signup_of(load_settings({})) == "direct"
    assert signup_of(load_settings(mail)) == "verified"
    assert signup_of(load_settings({**mail, "PACELINE_SIGNUP": "direct"})) == "direct"
    assert signup_of(load_settings({"PACELINE_SIGNUP": "verified"})) == "verified", "mails are files in the data folder"


def test_proving_addresses_without_any_mail_is_refused_at_the_start() -> None:
    elsewhere = {"DATABASE_URL": "postgresql://user:password@db.example.org/paceline", "PACELINE_SIGNUP": "verified"}
    assert list(faults_of(elsewhere)) == ["PACELINE_SIGNUP"]
    assert signup_of(load_settings({**elsewhere, "PACELINE_MAIL_URL": "file:///tmp/mails"})) == "verified"


def test_apps_on_phones_are_named_with_who_signs_them_and_need_an_https_address() -> None:
    printed = ":".join(["A7"] * 32)
    apps = {
        "PACELINE_ANDROID_APPS": f"org.example.app={printed}, org.example.app={printed}",
        "PACELINE_APPLE_APPS": "A1B2C3D4E5.org.example",
    }
    settings = read_settings({**apps, "PACELINE_PUBLIC_URL": "https://run.example"}).settings
    assert settings is not None
    assert [str(app) for app in settings.android_apps] == [f"org.example.app={printed}"]
    assert settings.apple_apps == ("A1B2C3D4E5.org.example",)
    for url in ({}, {"PACELINE_PUBLIC_URL": "http://run.example"}):
        assert list(faults_of({**apps, **url})) == ["PACELINE_PUBLIC_URL"]
    assert "keytool" in str(faults_of({"PACELINE_ANDROID_APPS": "org.example.app"}))
    assert list(faults_of({"PACELINE_APPLE_APPS": "org.example.app"})) == ["PACELINE_APPLE_APPS"]
