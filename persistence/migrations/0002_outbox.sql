-- The outbox becomes a log that days are cut off from, and somebody follows it. No relay of an older program may run beside
-- this: it would send again what has left already.

ALTER TABLE outbox RENAME TO outbox_before;
ALTER INDEX outbox_pkey RENAME TO outbox_before_pkey;

-- A sequence and not an identity: what GENERATED AS IDENTITY means for partitions differs between 16 and 17.
CREATE SEQUENCE outbox_seq AS bigint;

-- Facts, in the order in which they were told. Nothing is deleted here: relayed_at says that one has left, and a day that
-- is old enough is dropped whole. `shard` is the unit in which relays share the work: facts about one aggregate have the same.
-- `position` counts what has left without a hole, per shard: with it the outbox is a log (persistence/fact_log.py).
CREATE TABLE outbox (
    seq             bigint NOT NULL DEFAULT nextval('outbox_seq'),
    shard           smallint NOT NULL GENERATED ALWAYS AS (get_byte(uuid_send(aggregate_id), 15) & 15) STORED,
    id              uuid NOT NULL,
    type            text NOT NULL,
    aggregate_id    uuid NOT NULL,
    envelope        jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    relayed_at      timestamptz,
    position        bigint,
    PRIMARY KEY (seq, created_at),
    CHECK ((relayed_at IS NULL) = (position IS NULL))
) PARTITION BY RANGE (created_at);
ALTER SEQUENCE outbox_seq OWNED BY outbox.seq;
CREATE INDEX outbox_waiting ON outbox (shard, seq) WHERE relayed_at IS NULL;
CREATE INDEX outbox_log ON outbox (shard, position) WHERE position IS NOT NULL;

-- A fact must never fail for want of a day. What lands here is moved to its day, and said out loud.
CREATE TABLE outbox_stray PARTITION OF outbox DEFAULT;

DO $$
DECLARE
    day date;
BEGIN
    FOR day IN
        SELECT generate_series(
            greatest(coalesce(min(created_at), now() - interval '1 day'), now() - interval '30 days') AT TIME ZONE 'UTC',
            (now() AT TIME ZONE 'UTC') + interval '3 days',
            interval '1 day'
        )
        FROM outbox_before
    LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF outbox FOR VALUES FROM (%L) TO (%L)',
            'outbox_' || to_char(day, 'YYYYMMDD'), day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00'
        );
    END LOOP;
END $$;

INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
SELECT id, type, aggregate_id, envelope, created_at FROM outbox_before ORDER BY id;
DROP TABLE outbox_before;

-- One row per shard. A relay that works on a shard holds its row; `position` is the last one that was given out in it.
CREATE TABLE outbox_shards (
    shard           smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 15),
    position        bigint NOT NULL DEFAULT 0
);
INSERT INTO outbox_shards (shard) SELECT generate_series(0, 15);

-- Who follows a family of facts, and how far it has come. `run` counts the times it began anew, `first_day` is the first
-- day that this run counts (null: not known before its first page). A holder that is silent until `held_until` is replaced.
CREATE TABLE followers (
    name            text NOT NULL,
    family          text NOT NULL,
    run             integer NOT NULL DEFAULT 1,
    first_day       date,
    position        text,
    holder          uuid,
    held_until      timestamptz,
    PRIMARY KEY (name, family)
);

-- How many facts of each type became true on each day (UTC).
CREATE TABLE activity_days (
    day             date NOT NULL,
    family          text NOT NULL,
    type            text NOT NULL,
    n               bigint NOT NULL,
    PRIMARY KEY (day, type)
);
