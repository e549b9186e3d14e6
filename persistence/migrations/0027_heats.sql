-- Heats: challenges that are ridden together, each in the room of a class that nobody leads.

ALTER TABLE classes ALTER COLUMN coach_id DROP NOT NULL;
ALTER TABLE classes ADD COLUMN heat boolean NOT NULL DEFAULT false;

-- Ridden from `starts_at` to `ends_at`, both null while it gathers; closed at `closes_at`, null until its end was noted.
CREATE TABLE heats (
    challenge_id    uuid PRIMARY KEY REFERENCES challenges (id) ON DELETE CASCADE,
    class_id        uuid NOT NULL UNIQUE REFERENCES classes (id) ON DELETE CASCADE,
    starts_at       timestamptz,
    ends_at         timestamptz,
    closes_at       timestamptz
);

-- When a member of a heat said that they are ready.
ALTER TABLE challenge_members ADD COLUMN ready_at timestamptz;
