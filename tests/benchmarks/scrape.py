"""What the gateway counts of itself, read from its /metrics page."""

import urllib.request

import msgspec


class Counted(msgspec.Struct, frozen=True):
    """Since the start: `deliveries` of frames into mailboxes, `beats` of the board loop, messages `received` from other nodes and
    those of them that were `decoded`, signs of life aside (None where that is not counted). `lag_ms`: how late the event loop was
    at worst since it was last asked."""

    deliveries: int
    beats: int
    lag_ms: float
    received: int = 0
    decoded: int | None = None


def parse(page: str) -> Counted:
    """From the text that Prometheus reads. Raises KeyError when a figure is not on it: its name was changed."""
    figures = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            figures[name] = value
    counted = "# TYPE paceline_peer_messages_total counter" in page
    decoded = sum(
        float(figure)
        for name, figure in figures.items()
        if name.startswith("paceline_peer_messages_total{")
        and name != 'paceline_peer_messages_total{message="Heartbeat"}'
    )
    return Counted(
        deliveries=int(float(figures["paceline_frames_delivered_total"])),
        beats=int(float(figures["paceline_board_beats_total"])),
        lag_ms=float(figures["paceline_loop_lag_max_seconds"]) * 1000,
        received=int(float(figures["paceline_broker_delivered_total"])),
        decoded=int(decoded) if counted else None,
    )


def scrape(base_url: str) -> Counted:
    """Now. Asking resets `lag_ms`."""
    with urllib.request.urlopen(f"{base_url}/metrics", timeout=10) as answer:
        return parse(answer.read().decode())
