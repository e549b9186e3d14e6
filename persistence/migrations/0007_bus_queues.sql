-- Queues that a broker was given, so that one which is gone is known from one which is new. `since` says by type of fact where the
-- outbox's log was, per shard, just before the queue was told that type: what left before that it never lacked. `losses` counts
-- the times it was found missing; from `lost_at` until null it is refilled from the log, which has got to the fact `reached` and found `refilled`.
CREATE TABLE bus_queues (
    name            text PRIMARY KEY,
    made_at         timestamptz NOT NULL,
    since           jsonb NOT NULL,
    losses          integer NOT NULL DEFAULT 0,
    lost_at         timestamptz,
    reached         bigint NOT NULL DEFAULT 0,
    refilled        bigint NOT NULL DEFAULT 0
);
