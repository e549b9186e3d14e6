"""Where mail is handed in, as a URL says it. Pure, and imported without the mail library: `paceline check` asks it too."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Server:
    """Where mail is handed in. `tls`: "always" from the first byte, "starttls" or nothing is sent, "offered" if the server
    does, "never"."""

    host: str
    port: int
    tls: Literal["always", "starttls", "offered", "never"]
    user: str = ""
    password: str = field(default="", repr=False)


def way_of(url: str) -> Server | Path:
    """The server of smtps://user:password@host[:465], or of smtp://user:password@host[:587] with STARTTLS; or the folder of
    file:///folder. `?starttls=off` sends in the clear; a server on this machine needs no TLS, and is asked at port 25 when
    there is no user. Raises ValueError with what is wrong."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc or not parts.path.strip("/") or parts.query:
            raise ValueError("a folder is written as file:///folder")
        return Path(unquote(parts.path))
    asked = parse_qs(parts.query)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("it does not begin with smtps://, smtp:// or file:///, or names no host")
    if set(asked) - {"starttls"} or asked.get("starttls", ["off"]) != ["off"] or parts.path not in {"", "/"}:
        raise ValueError("all that may stand behind the host is ?starttls=off")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    local = parts.hostname in _LOOPBACK
    if parts.scheme == "smtps":
        if asked:
            raise ValueError("smtps:// has TLS from the first byte and no STARTTLS")
        return Server(parts.hostname, parts.port or 465, "always", user, password)
    port = parts.port or (25 if local and not user else 587)
    if not asked:
        return Server(parts.hostname, port, "offered" if local else "starttls", user, password)
    if password and not local:
        raise ValueError("a password is not sent in the clear: leave ?starttls=off away")
    return Server(parts.hostname, port, "never", user, password)
