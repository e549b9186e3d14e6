-- What feeds a stream, and of several of one athlete which was believed when.

-- As its device said last; null: it has not said.
ALTER TABLE streams ADD COLUMN sensor text CHECK (sensor IN ('strap', 'optical', 'machine', 'manual'));

-- From `from_ms` on (wall clock, ms since 1970) this stream feeds its athlete's line in its class, until the next of these for a
-- stream of the same athlete and class. `place` is the order in which it was decided, where two were in one millisecond.
CREATE TABLE sensor_shifts (
    stream_id       uuid NOT NULL REFERENCES streams (id) ON DELETE CASCADE,
    from_ms         bigint NOT NULL,
    place           bigint GENERATED ALWAYS AS IDENTITY,
    reason          text NOT NULL,
    PRIMARY KEY (stream_id, from_ms)
);
