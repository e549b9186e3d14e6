-- Scripts that lie ready, and the classes without a coach that groups start of them (services/classes/on_demand.py).
CREATE TABLE on_demand (
    id              uuid PRIMARY KEY,
    coach_id        uuid NOT NULL REFERENCES accounts (id),
    key             text NOT NULL,
    terms           jsonb NOT NULL,
    script          jsonb NOT NULL,
    duration_ms     integer NOT NULL CHECK (duration_ms > 0),
    created_at      timestamptz NOT NULL,
    withdrawn_at    timestamptz,
    UNIQUE (coach_id, key)
);
CREATE INDEX on_demand_offered ON on_demand (id) WHERE withdrawn_at IS NULL;

-- A class without a coach: what it was started of and its terms as they were then. `coach_id` is who has started it, under a key of
-- their own.
ALTER TABLE classes
    ADD COLUMN on_demand_id uuid REFERENCES on_demand (id),
    ADD COLUMN places integer,
    ADD COLUMN late_min integer,
    ADD COLUMN start_key text,
    ADD CONSTRAINT classes_without_coach CHECK (num_nonnulls(on_demand_id, places, late_min, start_key) IN (0, 4));
CREATE UNIQUE INDEX classes_started ON classes (coach_id, start_key) WHERE start_key IS NOT NULL;

-- Who has said that they are ready, in that order; `n` counts the changes.
CREATE TABLE class_lobbies (
    class_id        uuid PRIMARY KEY REFERENCES classes (id) ON DELETE CASCADE,
    ready           uuid[] NOT NULL,
    n               integer NOT NULL
);
