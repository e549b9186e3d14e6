"""What each part of a process counts, by the names of `gateway.probes.FAMILIES`: read when somebody asks, never gathered."""

from collections.abc import Callable, Mapping

from gateway.probes import Histogram, Once, Reading, Spread
from gateway.sockets.login_watch import LoginWatch
from gateway.sockets.renewal import Renewals
from gateway.sockets.revocation import Revocation
from gateway.sockets.server import LiveServer
from gateway.sockets.statistics import Measured
from realtime.node import Node
from realtime.presence import Presence
from rooms.clocks import BOUNDS_S as CLOCK_BOUNDS_S
from rooms.clocks import Clocks
from rooms.comebacks import Comebacks
from rooms.guarding import Guarding
from rooms.players import Players
from rooms.rooms import Rooms
from rooms.streams import Streams
from rooms.tapes import Tapes
from services.accounts.foreign_tokens import ForeignTokens
from services.accounts.passwords import Passwords
from services.kernel.clock import Clock
from services.limits.limits import Limits
from workers.bus import OperatedBus
from workers.delivery_watch import DeliveryWatch
from workers.following import Follower
from workers.long_tasks import LongTasks
from workers.lookout import Lookout
from workers.outbound.client import Outbound
from workers.outbound.providers import WaysOut
from workers.outbox_upkeep import OutboxUpkeep
from workers.relay import Relay
from workers.schedule import Scheduler
from workers.sending import Sender
from workers.task_statistics import BOUNDS_S, Overview
from workers.webhooks import WebhookSender


def readings(
    node: Node,
    presence: Presence,
    login_watch: LoginWatch,
    revocation: Revocation,
    renewals: Renewals,
    foreign_tokens: ForeignTokens,
    rooms: Rooms,
    clocks: Clocks,
    comebacks: Comebacks,
    tapes: Tapes,
    players: Players,
    streams: Streams,
    guarding: Guarding,
    outbox: OutboxUpkeep,
    relay: Relay,
    bus: OperatedBus,
    lookout: Lookout,
    followers: tuple[Follower, ...],
    scheduler: Scheduler,
    long_tasks: LongTasks,
    providers: WaysOut,
    senders: tuple[Sender, ...],
    delivery_watch: DeliveryWatch,
    webhooks: WebhookSender,
    outbound: Outbound,
    passwords: Passwords,
    limits: Limits,
    clock: Clock,
    sockets: Callable[[], LiveServer],
    draining: Callable[[], bool],
) -> Mapping[str, Reading]:
    """What each part counts, by the names of `gateway.probes.FAMILIES`."""
    recorder = streams.recorder.statistics
    due = scheduler.statistics
    hub = Once(node.hub.statistics, clock)
    carried = Once(node.statistics, clock)
    present = Once(presence.statistics, clock)
    engine = Once(lambda: sockets().statistics(), clock)
    return {
        "connections": lambda: len(node.hub),
        "connections_opened": lambda: hub().opened,
        "connections_closed": lambda: hub().closed,
        "sockets": lambda: engine().links,
        "draining": draining,
        "sockets_limit": lambda: sockets().eio.admission.max_links,
        "sockets_unauthenticated": lambda: engine().unauthenticated,
        "handshakes_refused": lambda: engine().refused,
        "messages_malformed": lambda: engine().malformed,
        "sockets_cut": lambda: engine().cut,
        "sockets_closed": lambda: engine().closed,
        "sockets_by_state": lambda: {
            "open": engine().links - engine().unauthenticated - engine().closing,
            "unauthenticated": engine().unauthenticated,
            "closing": engine().closing,
        },
        "sockets_by_transport": lambda: {"websocket": engine().websockets, "polling": engine().polling},
        "sockets_blocked": lambda: engine().blocked,
        "sockets_unwritten_bytes": lambda: engine().unwritten_bytes,
        "sockets_writes": lambda: engine().writes,
        "sockets_writes_in_bulk": lambda: engine().in_bulk,
        "sockets_frames_out": lambda: engine().frames,
        "sockets_bytes_out": lambda: engine().bytes_out,
        "sockets_bytes_in": lambda: engine().bytes_in,
        "sockets_frames_in": lambda: engine().frames_in,
        "sockets_pings": lambda: engine().pings,
        "sockets_ping_seconds": lambda: _in_seconds(engine().rtt_ms),
        "mailbox_bytes": lambda: hub().mailbox_bytes,
        "mailbox_dropped": lambda: hub().dropped,
        "mailbox_replaced": lambda: hub().replaced,
        "frames_broadcast": lambda: hub().broadcast,
        "frames_delivered": lambda: hub().deliveries,
        "events": lambda: {name: event.received for name, event in sockets().dispatcher.statistics().events.items()},
        "event_problems": lambda: sockets().dispatcher.statistics().problems,
        "streams_open": lambda: streams.statistics.open,
        "streams_taken_over": lambda: streams.statistics.taken_over,
        "stream_shifts": lambda: streams.statistics.shifts,
        "samples_accepted": lambda: streams.statistics.accepted,
        "samples_repeated": lambda: streams.statistics.repeated,
        "samples_stored": lambda: recorder.samples,
        "samples_waiting": lambda: recorder.waiting,
        "commit_seconds": lambda: Spread(recorder.commits, recorder.commit_seconds_sum, recorder.commit_seconds),
        "commit_failures": lambda: recorder.failures,
        "commits_fenced": lambda: recorder.fenced,
        "rooms": lambda: rooms.statistics.rooms,
        "board_beats": lambda: rooms.statistics.beats,
        "board_beat_seconds": lambda: rooms.statistics.beat_seconds,
        "board_frames": lambda: rooms.statistics.frames,
        "board_shares": lambda: rooms.statistics.shares,
        "room_log_appended": lambda: rooms.feeds.statistics.appended,
        "room_log_refused": lambda: rooms.feeds.statistics.refused,
        "room_log_delivered": lambda: rooms.feeds.statistics.delivered,
        "room_log_repaired": lambda: rooms.feeds.statistics.repaired,
        "room_log_skipped": lambda: rooms.feeds.statistics.skipped,
        "room_log_resets": lambda: rooms.feeds.statistics.resets,
        "tape_pieces": lambda: tapes.statistics.pieces,
        "tape_bytes": lambda: tapes.statistics.size,
        "tape_pieces_lost": lambda: tapes.statistics.lost,
        "tape_failures": lambda: tapes.statistics.failures,
        "replay_players": lambda: len(players),
        "replays_opened": lambda: players.opened,
        "safety_watched": lambda: guarding.statistics.watched,
        "safety_findings": lambda: guarding.statistics.found,
        "safety_incidents": lambda: guarding.statistics.opened,
        "safety_dropped": lambda: guarding.statistics.dropped,
        "room_joins_with_position": lambda: {
            "recovered": rooms.statistics.recovered,
            "not_recovered": rooms.statistics.not_recovered,
        },
        "connections_come_back": lambda: {
            "recovered": comebacks.statistics.recovered,
            "not_recovered": comebacks.statistics.not_recovered,
        },
        "broker_published": lambda: carried().broker.published,
        "broker_dropped": lambda: carried().broker.dropped,
        "broker_delivered": lambda: carried().broker.delivered,
        "broker_reconnects": lambda: carried().broker.reconnects,
        "broker_waiting": lambda: carried().broker.waiting,
        "broker_healthy": lambda: carried().broker.healthy,
        "peers": lambda: len(node.peers()),
        "peer_age_seconds": node.peers,
        "own_heartbeat_age_seconds": lambda: carried().own_heartbeat_s,
        "stale": lambda: carried().stale,
        "went_stale": lambda: carried().went_stale,
        "presence_people": lambda: present().people,
        "presence_waiting": lambda: present().waiting,
        "presence_away": lambda: present().away,
        "presence_reports": lambda: present().reports,
        "presence_failures": lambda: present().failures,
        "presence_announcements": lambda: present().announcements,
        "presence_overflows": lambda: present().overflows,
        "logins_found_ended": lambda: login_watch.ended + revocation.ended,
        "logins_revoked": lambda: len(revocation.revoked),
        "foreign_tokens_refused": lambda: foreign_tokens.refused,
        "foreign_logins_opened": lambda: foreign_tokens.opened,
        "tokens_renewed": lambda: renewals.renewed,
        "tokens_expired": lambda: renewals.expired,
        "peer_frames": lambda: carried().relayed,
        "peer_messages": lambda: carried().decoded,
        "peer_not_understood": lambda: carried().not_understood,
        "peer_refused": lambda: carried().refused,
        "outbox_waiting": lambda: relay.statistics.waiting,
        "outbox_age_seconds": lambda: relay.statistics.oldest_s,
        "outbox_stray_days": lambda: outbox.statistics.strays,
        "facts_relayed": lambda: relay.statistics.relayed,
        "relay_failures": lambda: relay.statistics.failures,
        "relay_shards_held": lambda: relay.statistics.held,
        "relay_held_back": lambda: relay.statistics.held_back,
        "followed": lambda: {one.name: one.statistics.follows for one in followers},
        "facts_followed": lambda: {one.name: one.statistics.taken for one in followers},
        "follower_lost": lambda: {one.name: one.statistics.lost for one in followers},
        "follower_failures": lambda: {one.name: one.statistics.failures for one in followers},
        "bus_published": lambda: bus.statistics().published,
        "bus_refused": lambda: bus.statistics().refused,
        "bus_reconnects": lambda: bus.statistics().reconnects,
        "tasks_waiting": lambda: {name: queue.waiting for name, queue in lookout.seen.items()},
        "tasks_retrying": lambda: {name: queue.retrying for name, queue in lookout.seen.items()},
        "tasks_given_up": lambda: {name: queue.parked for name, queue in lookout.seen.items()},
        "tasks_oldest_age_seconds": lambda: _known(lookout.seen, lambda queue: queue.oldest_s),
        "tasks_consumers": lambda: _known(lookout.seen, lambda queue: queue.consumers),
        "tasks_running": lambda: {name: queue.running for name, queue in bus.statistics().queues.items()},
        "tasks_attempts": lambda: {
            (name, outcome): count
            for name, queue in bus.statistics().queues.items()
            for outcome, count in queue.outcomes().items()
        },
        "clock_sync_seconds": lambda: {
            "moved": Histogram(CLOCK_BOUNDS_S, clocks.statistics.moved.counts, clocks.statistics.moved.total_s),
            "delay": Histogram(CLOCK_BOUNDS_S, clocks.statistics.delay.counts, clocks.statistics.delay.total_s),
        },
        "tasks_refilled": lambda: {name: queue.refilled for name, queue in bus.statistics().queues.items()},
        "tasks_seconds": lambda: {
            name: Histogram(BOUNDS_S, queue.seconds.counts, queue.seconds.total_s)
            for name, queue in bus.statistics().queues.items()
        },
        "schedule_leads": lambda: due.leads,
        "schedule_epoch": lambda: due.epoch,
        "schedule_ticks": lambda: due.ticks,
        "schedule_done": lambda: due.done,
        "schedule_failures": lambda: due.failures,
        "schedule_dropped": lambda: due.dropped,
        "schedule_told": lambda: due.told,
        "schedule_late_seconds": lambda: Spread(due.late_count, due.late_seconds, tuple(due.late_recent)),
        "long_tasks_running": lambda: {kind: counts.running for kind, counts in long_tasks.statistics.items()},
        "long_tasks_steps": lambda: {kind: counts.steps for kind, counts in long_tasks.statistics.items()},
        "long_tasks_done": lambda: {kind: counts.done for kind, counts in long_tasks.statistics.items()},
        "long_tasks_failed": lambda: {kind: counts.failed for kind, counts in long_tasks.statistics.items()},
        "long_tasks_taken_over": lambda: {kind: counts.taken_over for kind, counts in long_tasks.statistics.items()},
        "long_tasks_lost": lambda: {kind: counts.lost for kind, counts in long_tasks.statistics.items()},
        "provider_running": lambda: {name: one.running for name, one in providers.statistics().items()},
        "provider_taken": lambda: {name: one.taken for name, one in providers.statistics().items()},
        "provider_refused": lambda: {name: one.refused for name, one in providers.statistics().items()},
        "provider_dead_addresses": lambda: {name: one.dead for name, one in providers.statistics().items()},
        "provider_postponed": lambda: {name: one.postponed for name, one in providers.statistics().items()},
        "provider_failed": lambda: {name: one.failed for name, one in providers.statistics().items()},
        "provider_in_doubt": lambda: {name: one.in_doubt for name, one in providers.statistics().items()},
        "provider_held_back": lambda: {name: one.held_back for name, one in providers.statistics().items()},
        "provider_circuits_open": lambda: {name: one.open for name, one in providers.statistics().items()},
        "deliveries_ended": lambda: {
            (str(sender.lane), state): count for sender in senders for state, count in sender.statistics.ended.items()
        },
        "deliveries_running": lambda: {str(sender.lane): sender.statistics.running for sender in senders},
        "deliveries_calls": lambda: {str(sender.lane): sender.statistics.calls for sender in senders},
        "deliveries_call_seconds": lambda: {str(sender.lane): sender.statistics.seconds for sender in senders},
        "deliveries_due": lambda: delivery_watch.figures.due,
        "deliveries_oldest_seconds": lambda: delivery_watch.figures.oldest_s,
        "deliveries_in_doubt": lambda: delivery_watch.figures.in_doubt,
        "webhook_calls": lambda: webhooks.statistics.calls,
        "webhook_calls_running": lambda: webhooks.statistics.running,
        "webhook_call_seconds": lambda: webhooks.statistics.call_seconds,
        "webhook_endpoints_waiting": lambda: webhooks.statistics.waiting,
        "webhook_age_seconds": lambda: webhooks.statistics.oldest_s,
        "webhooks_given_up": lambda: webhooks.statistics.given_up,
        "webhook_endpoints_paused": lambda: webhooks.statistics.paused,
        "webhook_turns_lost": lambda: webhooks.statistics.lost,
        "outbound_calls": lambda: outbound.statistics.ended,
        "limits_refused": lambda: limits.refused,
        "limits_away": lambda: int(limits.away),
        "password_hashes": lambda: passwords.statistics().hashed,
        "password_refused": lambda: passwords.statistics().refused,
        "password_pending": lambda: passwords.statistics().pending,
    }


def _in_seconds(ms: Measured) -> Spread:
    """Prometheus counts time in seconds."""
    return Spread(ms.count, ms.total / 1_000, tuple(one / 1_000 for one in ms.recent))


def _known(seen: Mapping[str, Overview], of: Callable[[Overview], float | None]) -> dict[str, float]:
    """What the bus knows of its queues; of those it cannot tell, nothing is shown."""
    return {name: value for name, queue in seen.items() if (value := of(queue)) is not None}
