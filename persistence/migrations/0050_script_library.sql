-- Scripts that are kept apart from classes (services/classes/kept_script.py): the newest has the highest revision, earlier ones are not
-- kept. `origin_*` says what a copy was made of; whose that was stays known when it is gone.
CREATE TABLE library_scripts (
    id              uuid PRIMARY KEY,
    owner_id        uuid NOT NULL REFERENCES accounts (id),
    key             text NOT NULL,
    name            text NOT NULL,
    description     text NOT NULL,
    tags            text[] NOT NULL,
    shared          text NOT NULL CHECK (shared IN ('private', 'coaches')),
    script          jsonb NOT NULL,
    duration_ms     integer NOT NULL CHECK (duration_ms > 0),
    revision        integer NOT NULL CHECK (revision > 0),
    created_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    origin_id       uuid REFERENCES library_scripts (id) ON DELETE SET NULL,
    origin_owner_id uuid REFERENCES accounts (id),
    origin_revision integer,
    UNIQUE (owner_id, key),
    CHECK (num_nonnulls(origin_owner_id, origin_revision) IN (0, 2)),
    CHECK (origin_id IS NULL OR origin_owner_id IS NOT NULL)
);
CREATE INDEX library_scripts_of_owner ON library_scripts (owner_id, id);
CREATE INDEX library_scripts_shared ON library_scripts (id) WHERE shared = 'coaches';
CREATE INDEX library_scripts_copies ON library_scripts (origin_id) WHERE origin_id IS NOT NULL;
