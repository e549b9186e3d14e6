"""The options: each declared once, as a field of Settings, and the relations that must hold between them.

To add one, add a field. The reading of the environment, the table of `paceline check` and
`deploy/paceline.env.example` follow from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paceline.option import (
    Network,
    Option,
    choice,
    decimal,
    ed25519_key,
    file,
    folder,
    networks,
    option,
    origins,
    redis_urls,
    sealing_keys,
    secret_word,
    server_url,
    some_of,
    text,
    web_url,
    whole,
)
from paceline.provider_kinds import (
    android_apps,
    apple_apps,
    mail_sender,
    mail_url,
    p256_key,
    service_account,
    sign_in_providers,
)
from services.accounts.native_apps import AndroidApp
from services.accounts.provider import Provider

ROLES = ("gateway", "worker", "relay", "scheduler")

_POSTGRES_URL = server_url("postgresql://user:password@db.example.org/paceline", "postgresql", "postgres")
_REDIS_URL = redis_urls("redis://:password@cache.example.org:6379/0")
_AMQP_URL = server_url("amqp://user:password@queue.example.org/", "amqp", "amqps")
_APPLE_ID = text("ten capital letters and digits, for example KEY1234567", r"|[A-Z0-9]{10}")
_EMBEDDED_CONNECTIONS = 50  # the local PostgreSQL takes 60; ten are for migrations, the relay and a curious psql
_BUS_CONNECTIONS = 3  # one listens, one publishes inside its transaction, one looks up queues (workers/refill.py)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """All options. `Settings()` is the default of each; tests give what differs."""

    database_url: str = option(
        "DATABASE_URL",
        _POSTGRES_URL,
        "",
        "PostgreSQL 16 or newer, the one place where everything durable lives.",
        empty="a local PostgreSQL is started in the data folder",
    )
    db_pool: int = option(
        "PACELINE_DB_POOL",
        whole(2, 500),
        "10",
        "Most connections to PostgreSQL that this process keeps open.",
        unit="connections",
    )
    db_statement_cache: int = option(
        "PACELINE_DB_STATEMENT_CACHE",
        whole(0, 10_000),
        "100",
        "Prepared statements kept per connection to PostgreSQL.",
        unit="statements",
        zero="none are prepared: needed behind a PgBouncer older than 1.21 in transaction mode",
    )
    redis_url: str = option(
        "REDIS_URL",
        _REDIS_URL,
        "",
        "Redis 6.2 or newer, or Valkey: carries boards and events between nodes. The same for all nodes. Several servers with "
        "commas between share the rooms among them; redis+cluster://host:port,host:port (rediss+cluster:// with TLS) names servers "
        "of a Redis Cluster, version 7 or newer.",
        empty="a local Redis is started for this process alone",
    )
    amqp_url: str = option(
        "AMQP_URL",
        _AMQP_URL,
        "",
        "RabbitMQ 3.10 or newer, for durable tasks.",
        empty="tasks travel through PostgreSQL, with the same promises",
    )
    data_dir: Path = option(  # noqa: RUF009 - it makes a field
        "PACELINE_DATA_DIR",
        folder(),
        ".data",
        "Folder for what this machine keeps: the local PostgreSQL, logs of the local servers, the signing key, "
        "the admin token.",
    )
    export_dir: Path = option(  # noqa: RUF009 - it makes a field
        "PACELINE_EXPORT_DIR",
        folder(),
        "",
        "Folder for the files that people ask for (exports of their data), for a day each. All gateways and workers of an "
        "installation need the same one.",
        empty="exports in the data folder, which is right for one machine",
    )
    checkpoint_dir: Path = option(  # noqa: RUF009 - it makes a field
        "PACELINE_CHECKPOINT_DIR",
        folder(),
        "",
        "Folder for the signed checkpoints of the audit. Best on another machine's disk: they prove what the audit was, "
        "against whoever changes the database.",
        empty="the data folder",
    )
    host: str = option(
        "PACELINE_HOST",
        text("a host name or an IP address, for example 0.0.0.0 for every interface", r"[A-Za-z0-9._:%-]{1,255}"),
        "127.0.0.1",
        "Address the gateway listens on.",
    )
    port: int = option(
        "PACELINE_PORT",
        whole(0, 65_535),
        "8080",
        "TCP port the gateway listens on.",
        zero="any free port; the start message names it",
    )
    metrics_port: int = option(
        "PACELINE_METRICS_PORT",
        whole(0, 65_000),
        "0",
        "TCP port for /metrics, /livez and /readyz of this process alone. Under gunicorn worker 1 has the next one, worker 2 the "
        "one after it, and so on: which of several workers answers on the gateway's port is chance.",
        zero="they are on the gateway's port only",
    )
    allowed_origins: tuple[str, ...] = option(
        "PACELINE_ALLOWED_ORIGINS",
        origins(),
        "",
        "Web pages of these origins are ours: they get sockets, and keep their login in a cookie.",
        empty="only pages from the gateway itself are",
    )
    trusted_proxies: tuple[Network, ...] = option(
        "PACELINE_TRUSTED_PROXIES",
        networks(),
        "",
        "Proxies in front of the gateway. Who their X-Forwarded-For names is the client; from anybody else that header is ignored.",
        empty="every connection is from whom it comes",
    )
    transports: tuple[str, ...] = option(
        "PACELINE_TRANSPORTS",
        some_of("websocket", "polling"),
        "websocket,polling",
        "How clients may reach the sockets. polling is for networks that let no WebSocket through; it needs one process per port, "
        "and with several a balancer that finds the process by what a link's id begins with (docs/howto/run-several-nodes.md).",
    )
    max_connections: int = option(
        "PACELINE_MAX_CONNECTIONS",
        whole(1, 1_000_000),
        "100000",
        "Most open sockets of this process; more are asked to come later (503).",
        unit="sockets",
    )
    connections_per_second: float = option(
        "PACELINE_CONNECTIONS_PER_SECOND",
        decimal(0.1, 1_000_000),
        "2000",
        "New sockets that are let in per second, on average; a second's worth may come at once. More are asked to come later "
        "(503).",
        unit="sockets per second",
    )
    max_connections_per_address: int = option(
        "PACELINE_MAX_CONNECTIONS_PER_ADDRESS",
        whole(0, 1_000_000),
        "0",
        "Most open sockets of one client address (of an IPv6 /64) on this process; more are refused (429). A studio may have "
        "hundreds of phones behind one address. Behind proxies it needs PACELINE_TRUSTED_PROXIES, or all clients are one.",
        unit="sockets",
        zero="any number",
    )
    max_connections_per_account: int = option(
        "PACELINE_MAX_CONNECTIONS_PER_ACCOUNT",
        whole(0, 1_000_000),
        "50",
        "Most authenticated connections of one account on this process; more are refused at CONNECT (too_many_connections).",
        unit="connections",
        zero="any number",
    )
    drain_delay_s: float = option(
        "PACELINE_DRAIN_DELAY_S",
        decimal(0, 300),
        "0",
        "How long a node that is asked to stop stays open to newcomers after /readyz has turned to 503. Behind a balancer give it "
        "the time that needs to see it: HAProxy's inter × fall, Kubernetes' periodSeconds × failureThreshold of the readiness "
        "probe.",
        unit="seconds",
        zero="newcomers are refused at once",
    )
    drain_s: float = option(
        "PACELINE_DRAIN_S",
        decimal(0, 600),
        "15",
        "How long closing all sockets may take when the node stops; what is left then is cut. Whoever stops the process must wait "
        "for PACELINE_DRAIN_DELAY_S + this + 20 s (terminationGracePeriodSeconds, TimeoutStopSec) before killing it.",
        unit="seconds",
        zero="all sockets are closed at once",
    )
    compression: str = option(
        "PACELINE_COMPRESSION",
        choice("off", "on"),
        "off",
        "Whether WebSocket messages are compressed for clients that ask for it: less traffic, more processor time.",
    )
    io_uring: str = option(
        "PACELINE_IO_URING",
        choice("auto", "off"),
        "auto",
        "Whether many sockets are written to with one system call, by Linux's io_uring: less processor time for every event in a "
        "room. `auto` uses it where the kernel (6.1 or later) and the container allow it.",
    )
    compiled: str = option(
        "PACELINE_COMPILED",
        choice("auto", "off", "must"),
        "auto",
        "Whether the modules on the way of every frame run compiled (`make compiled`; the image has them): less processor time for "
        "all that comes and goes. `auto` takes them where they are; `must` does not start without.",
    )
    roles: tuple[str, ...] = option(
        "PACELINE_ROLES",
        some_of(*ROLES),
        ",".join(ROLES),
        "What this process does. On one machine all of it; on many, a share each.",
    )
    node_id: str = option(
        "PACELINE_NODE_ID",
        text(
            "up to 40 small letters, digits and dashes, for example gateway-3", r"|[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
        ),
        "",
        "Name of this process among the nodes; no two may share one. Links' ids begin with its last 16 letters and digits and a "
        "dot. Under gunicorn, what all its workers' names begin with.",
        empty="made at every start",
    )
    demo: str = option(
        "PACELINE_DEMO",
        choice("auto", "on", "off"),
        "auto",
        "Whether a demo class with simulated athletes is open after the start. auto: on the local PostgreSQL.",
    )
    token_key: str = option(
        "PACELINE_TOKEN_KEY",
        ed25519_key(),
        "",
        "Signs access tokens. All nodes need the same one.",
        empty="made at the first start and kept in the data folder",
    )
    admin_token: str = option(
        "PACELINE_ADMIN_TOKEN",
        secret_word(24),
        "",
        "Opens /operations, `paceline sockets` and the Socket.IO Admin UI. All nodes need the same one.",
        empty="made at the first start and kept in the data folder, in the file admin.token",
    )
    sealing_keys: tuple[bytes, ...] = option(
        "PACELINE_SEALING_KEYS",
        sealing_keys(),
        "",
        "Seal what must be read again and may not lie open in the database: the secrets of webhooks, and the keys under which "
        "lies what is about people's bodies: keep a copy of them, apart from the database. The first seals, all of them open. To "
        "change it, give all nodes the new one second, then first; take the old one away when `paceline keys sealing` says so.",
        empty="one is made at the first start and kept in the data folder, in the file sealing.key",
    )
    seal_fields: str = option(
        "PACELINE_SEAL_FIELDS",
        choice("on", "off"),
        "on",
        "Keep what is about people's bodies (profile, limit, samples), whom to call and telephone numbers sealed in the database. "
        "off: read what is sealed and write plain, while nodes of an older program still run, which seals nothing, or less; on "
        "again, a job seals what was written meanwhile.",
    )
    admin_ui: str = option(
        "PACELINE_ADMIN_UI",
        choice("off", "counts", "sockets", "control"),
        "counts",
        "What the Socket.IO Admin UI gets in the namespace /admin. counts: figures only. sockets: also every connection with "
        "its address and rooms. control: it may also disconnect them, move them between rooms and send them events.",
    )
    access_token_minutes: int = option(
        "PACELINE_ACCESS_TOKEN_MINUTES",
        whole(1, 24 * 60),
        "15",
        "How long an access token is good. A login that was ended goes on working for at most this long.",
        unit="minutes",
    )
    refresh_token_days: int = option(
        "PACELINE_REFRESH_TOKEN_DAYS",
        whole(1, 400),
        "30",
        "How long a device may stay away before it has to log in again.",
        unit="days",
    )
    coach_signup: str = option(
        "PACELINE_COACH_SIGNUP",
        choice("open", "closed"),
        "open",
        "open: whoever registers may choose to be a coach. closed: everybody registers as a member.",
    )
    coach_needs: str = option(
        "PACELINE_COACH_NEEDS",
        text("the name of an entitlement, for example coaching", r"|(?=.{1,40}$)[a-z0-9]+(-[a-z0-9]+)*"),
        "",
        "The entitlement without which nobody who leads a class is shown the heart rates in it, beside what everybody in the "
        "room sees. Granting and withdrawing it holds in less than a second, in classes that go on, too.",
        empty="nothing is asked of coaches",
    )
    signup: str = option(
        "PACELINE_SIGNUP",
        choice("auto", "direct", "verified"),
        "auto",
        "How accounts come to be. direct: at once, with an address that may be proved later. verified: once the link in a mail to "
        "the address was followed, and nobody learns who has an account. auto: verified where PACELINE_MAIL_URL is set, else "
        "direct.",
    )
    breached_passwords: Path = option(  # noqa: RUF009 - it makes a field
        "PACELINE_BREACHED_PASSWORDS",
        file(),
        "",
        "File of passwords known from breaches, which nobody may choose: SHA-1 hashes with counts, ordered by hash, as Have I Been "
        "Pwned publishes them.",
        empty="only what the program knows by itself is refused",
    )
    public_url: str = option(
        "PACELINE_PUBLIC_URL",
        web_url("https://paceline.example.org"),
        "",
        "The address by which people and providers reach this installation, as it stands in mails and in what an SMS provider "
        "calls back.",
        empty="nobody outside is told an address",
    )
    android_apps: tuple[AndroidApp, ...] = option(
        "PACELINE_ANDROID_APPS",
        android_apps(),
        "",
        "Our own apps on Android, which use the passkeys of the domain of PACELINE_PUBLIC_URL: package and SHA-256 of the"
        " certificate that it is signed with; once more for another one. Told at /.well-known/assetlinks.json.",
        empty="no app on Android has passkeys",
    )
    apple_apps: tuple[str, ...] = option(
        "PACELINE_APPLE_APPS",
        apple_apps(),
        "",
        "Our own apps on iPhones, which use the passkeys of the domain of PACELINE_PUBLIC_URL: team and bundle. Told at "
        "/.well-known/apple-app-site-association.",
        empty="no app on an iPhone has passkeys",
    )
    sign_in: tuple[Provider, ...] = option(
        "PACELINE_SIGN_IN",
        sign_in_providers(),
        "",
        "Providers that people may sign in with (Google, Apple, Microsoft, GitHub, any issuer of OpenID Connect), as TOML; best "
        "given as a file; and how far access tokens of such issuers are trusted. The same for all gateways and workers. "
        "Providers on an inner network need PACELINE_OUTBOUND_ALLOW.",
        empty="people sign in with their passwords only",
    )
    mail_url: str = option(
        "PACELINE_MAIL_URL",
        mail_url(),
        "",
        "Where mail is handed in: smtps:// has TLS from the first byte, smtp:// insists on STARTTLS (?starttls=off for an inner "
        "network), file:///folder writes each mail into a file.",
        empty="on the local PostgreSQL mails are files in the data folder, in mail/; elsewhere none are sent",
    )
    mail_from: str = option(
        "PACELINE_MAIL_FROM",
        mail_sender(),
        "",
        "Who mails are from; the mail server must let us send as it.",
        empty="Paceline <paceline@localhost>, for a folder only",
    )
    apns_key: str = option(
        "PACELINE_APNS_KEY",
        p256_key("the .p8 file from Apple's developer pages"),
        "",
        "Signs pushes to Apple's devices.",
        empty="Apple's devices get no push",
    )
    apns_key_id: str = option("PACELINE_APNS_KEY_ID", _APPLE_ID, "", "Id of that key.", empty="as without a key")
    apns_team_id: str = option(
        "PACELINE_APNS_TEAM_ID", _APPLE_ID, "", "Id of the team it belongs to.", empty="as without a key"
    )
    apns_topic: str = option(
        "PACELINE_APNS_TOPIC",
        text("the bundle id of the app, for example org.example.paceline", r"|[A-Za-z0-9.-]{3,155}"),
        "",
        "The app that is pushed to.",
        empty="as without a key",
    )
    apns_url: str = option(
        "PACELINE_APNS_URL",
        web_url("https://api.sandbox.push.apple.com"),
        "https://api.push.apple.com",
        "Apple's push service; the sandbox is for builds from Xcode.",
    )
    fcm_service_account: str = option(
        "PACELINE_FCM_SERVICE_ACCOUNT",
        service_account(),
        "",
        "The service account that pushes to Android devices through Firebase Cloud Messaging.",
        empty="Android devices get no push",
    )
    fcm_url: str = option(
        "PACELINE_FCM_URL",
        web_url("https://fcm.googleapis.com"),
        "https://fcm.googleapis.com",
        "Firebase Cloud Messaging.",
    )
    vapid_key: str = option(
        "PACELINE_VAPID_KEY",
        p256_key("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
        "",
        "Browsers' push services know us by it. All nodes need the same one; with another one, all subscriptions are lost.",
        empty="made at the first start and kept in the data folder, in the file vapid.key.pem",
    )
    vapid_subject: str = option(
        "PACELINE_VAPID_SUBJECT",
        text("mailto: with an address, or a https: URL", r"|mailto:[^\s@]+@[^\s@]+|https://\S+"),
        "",
        "Whom a browser's push service may write to about our pushes. Apple's takes no localhost.",
        empty="mailto: with the address of PACELINE_MAIL_FROM",
    )
    sms_account: str = option(
        "PACELINE_SMS_ACCOUNT",
        text("the account's SID", r"|[A-Za-z0-9_-]{1,64}"),
        "",
        "Account at an SMS provider in Twilio's shape.",
        empty="no text messages are sent",
    )
    sms_token: str = option(
        "PACELINE_SMS_TOKEN",
        secret_word(8),
        "",
        "Token of that account; it also signs what the provider calls back.",
        empty="as without an account",
    )
    sms_from: str = option(
        "PACELINE_SMS_FROM",
        text(
            "a number such as +15005550006, a name of up to 11 letters, or a messaging service (MG…)",
            r"|\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,40}",
        ),
        "",
        "Who text messages are from.",
        empty="as without an account",
    )
    sms_url: str = option(
        "PACELINE_SMS_URL",
        web_url("https://api.twilio.com"),
        "https://api.twilio.com",
        "The SMS provider.",
    )
    commit_interval_ms: int = option(
        "PACELINE_COMMIT_INTERVAL_MS",
        whole(10, 5_000),
        "200",
        "How often the samples of all streams of this node are committed together. Devices hear that long after "
        "sending that a sample is safe.",
        unit="ms",
    )
    board_hz: float = option(
        "PACELINE_BOARD_HZ",
        decimal(1, 10),
        "6",
        "How often a room's board goes out while something on it changes. Below 5 a heart rate may take more than 250 ms to it.",
        unit="boards per second",
    )
    presence_grace_s: int = option(
        "PACELINE_PRESENCE_GRACE_S",
        whole(0, 120),
        "10",
        "How long somebody may be away from a room before the others are told that they left.",
        unit="s",
        zero="leaving is told at once, and every lost connection looks like leaving",
    )
    outbox_days: int = option(
        "PACELINE_OUTBOX_DAYS",
        whole(1, 90),
        "7",
        "How far back facts that have left can be read again, by whoever follows them. The inbox, which makes that a fact has its "
        "effect once, remembers two days longer.",
        unit="days",
    )
    outbound_allow: tuple[Network, ...] = option(
        "PACELINE_OUTBOUND_ALLOW",
        networks(),
        "",
        "Networks that webhooks, and other calls to addresses that somebody else gave, may lead to besides the public internet, by "
        "http too and at any port: 127.0.0.0/8 for trying webhooks out on one machine.",
        empty="public addresses only, by https",
    )
    outbound_proxy: str = option(
        "PACELINE_OUTBOUND_PROXY",
        server_url("http://proxy.example.org:3128", "http", "https"),
        "",
        "HTTP proxy for all calls to third parties. It finds the addresses of names, so it must be the proxy that refuses private "
        "ones.",
        empty="third parties are called directly",
    )
    log_format: str = option(
        "PACELINE_LOG_FORMAT",
        choice("auto", "text", "json"),
        "auto",
        "Form of the log lines. auto: text on a terminal, JSON elsewhere.",
    )
    log_level: str = option(
        "PACELINE_LOG_LEVEL",
        choice("debug", "info", "warning", "error"),
        "info",
        "Least serious line that is written.",
    )
    traces: str = option(
        "PACELINE_TRACES",
        choice("off", "on"),
        "off",
        "Whether spans are sent to an OpenTelemetry collector. Where it is and how much is sampled say the OTEL_… variables of "
        "OpenTelemetry (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER). Needs the extra: pip install paceline[otel].",
    )

    @property
    def exports(self) -> Path:
        """Where the files that people ask for lie."""
        return self.data_dir / "exports" if self.export_dir == Path() else self.export_dir

    @property
    def checkpoints(self) -> Path:
        """The file with the signed checkpoints of the audit."""
        return (self.data_dir if self.checkpoint_dir == Path() else self.checkpoint_dir) / "audit-checkpoints.jsonl"

    @property
    def embedded_postgres(self) -> bool:
        return not self.database_url

    @property
    def embedded_redis(self) -> bool:
        return not self.redis_url

    @property
    def runs_demo(self) -> bool:
        return self.demo == "on" or (self.demo == "auto" and self.embedded_postgres and "gateway" in self.roles)

    def __repr__(self) -> str:
        return f"Settings({', '.join(_shown(self))})"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the environment."""

    variable: str
    problem: str
    cure: str


def options() -> dict[str, Option]:
    """Every option by the name of its field, in the order of declaration."""
    return {one.name: one.metadata["option"] for one in dataclasses.fields(Settings)}


def relations(settings: Settings) -> Iterator[tuple[tuple[str, ...], Fault]]:
    """What must hold between options: the fields involved, and the fault when it does not."""
    if settings.embedded_postgres and set(settings.roles) != set(ROLES):
        missing = ", ".join(role for role in ROLES if role not in settings.roles)
        yield (
            ("database_url", "roles"),
            Fault(
                "PACELINE_ROLES",
                f"nobody would do the work of {missing}, since the local PostgreSQL serves one process only",
                "Give DATABASE_URL, or leave all roles to this process",
            ),
        )
    if settings.embedded_postgres and settings.db_pool > _EMBEDDED_CONNECTIONS:
        yield (
            ("database_url", "db_pool"),
            Fault(
                "PACELINE_DB_POOL",
                f"the local PostgreSQL has room for {_EMBEDDED_CONNECTIONS}, not for {settings.db_pool}",
                f"Give at most {_EMBEDDED_CONNECTIONS}, or give DATABASE_URL",
            ),
        )
    if settings.amqp_url and settings.db_pool < _BUS_CONNECTIONS and {"relay", "worker"} & set(settings.roles):
        yield (
            ("amqp_url", "db_pool", "roles"),
            Fault(
                "PACELINE_DB_POOL",
                "a relay or worker holds two connections when it opens the task bus, and asks on a third which queues were lost",
                f"Give at least {_BUS_CONNECTIONS}",
            ),
        )
    if settings.demo == "on" and "gateway" not in settings.roles:
        yield (
            ("demo", "roles"),
            Fault(
                "PACELINE_DEMO",
                "its athletes connect to a gateway, and this process is none",
                "Set it to off, or add gateway to PACELINE_ROLES",
            ),
        )
    if settings.metrics_port and settings.metrics_port == settings.port:
        yield (
            ("metrics_port", "port"),
            Fault(
                "PACELINE_METRICS_PORT",
                "the gateway listens there itself",
                "Give another port than PACELINE_PORT, or 0: the gateway's port shows the metrics too",
            ),
        )
    if settings.access_token_minutes >= settings.refresh_token_days * 24 * 60:
        yield (
            ("access_token_minutes", "refresh_token_days"),
            Fault(
                "PACELINE_ACCESS_TOKEN_MINUTES",
                "an access token would outlive the login it belongs to",
                "Give fewer minutes than PACELINE_REFRESH_TOKEN_DAYS has",
            ),
        )
    if settings.signup == "verified" and not settings.mail_url and not settings.embedded_postgres:
        yield (
            ("signup", "mail_url", "database_url"),
            Fault(
                "PACELINE_SIGNUP",
                "addresses cannot be proved, because no mail is sent",
                "Give PACELINE_MAIL_URL, or set PACELINE_SIGNUP to direct",
            ),
        )
    if settings.mail_url.startswith("smtp") and not settings.mail_from:
        yield (
            ("mail_url", "mail_from"),
            Fault(
                "PACELINE_MAIL_FROM", "mails to a server need a sender", "Give the address that it lets you send from"
            ),
        )
    if (settings.android_apps or settings.apple_apps) and not settings.public_url.startswith("https://"):
        yield (
            ("android_apps", "apple_apps", "public_url"),
            Fault(
                "PACELINE_PUBLIC_URL",
                "phones ask a domain over https whether an app is its own",
                "Give the https address of this installation, or no apps",
            ),
        )
    yield from _whole_sets(settings)


_SETS = (
    ("apns_key", "apns_key_id", "apns_team_id", "apns_topic"),
    ("sms_account", "sms_token", "sms_from"),
)
"""Options of which one is of no use without the others."""


def _whole_sets(settings: Settings) -> Iterator[tuple[tuple[str, ...], Fault]]:
    known = options()
    for names in _SETS:
        given = [known[name].name for name in names if getattr(settings, name)]
        missing = [known[name].name for name in names if not getattr(settings, name)]
        if given and missing:
            yield names, Fault(missing[0], f"{given[0]} is set and needs it", f"Give {' and '.join(missing)} as well")


def _shown(settings: Settings) -> Iterator[str]:
    for name, one in options().items():
        value = getattr(settings, name)
        plain = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        yield f"{name}={one.kind.show(plain) if plain else ''!r}"
