-- What happens in a class and when: its script, and what its coach did to its clock.

-- The newest has the highest revision; earlier ones are not kept.
CREATE TABLE class_scripts (
    class_id        uuid PRIMARY KEY REFERENCES classes (id) ON DELETE CASCADE,
    revision        integer NOT NULL CHECK (revision > 0),
    script          jsonb NOT NULL,
    stored_at       timestamptz NOT NULL
);

-- The clock is the fold of these in the order of `n`, from 1 without a hole (services/classes/class_clock.py). `key` is the coach's own
-- for one command: sent again with it, it happens once.
CREATE TABLE class_clock_events (
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    n               integer NOT NULL,
    event           jsonb NOT NULL,
    key             text,
    noted_at        timestamptz NOT NULL,
    PRIMARY KEY (class_id, n),
    UNIQUE (class_id, key)
);
