-- Messages of a class's chat that members have reported, with the text as it was said, and what was decided. A message has as many rows
-- as members who have reported it, each once; `position` is where it stood in the room's log, `n` its author's number.
CREATE TABLE chat_reports (
    id              uuid PRIMARY KEY,
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    position        text NOT NULL,
    n               integer NOT NULL,
    about           uuid REFERENCES accounts (id) ON DELETE SET NULL,
    text            text NOT NULL,
    reason          text NOT NULL,
    reported_by     uuid REFERENCES accounts (id) ON DELETE SET NULL,
    reported_at     timestamptz NOT NULL,
    verdict         text CHECK (verdict IN ('remove', 'keep')),
    decided_by      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    decided_at      timestamptz,
    UNIQUE (class_id, position, reported_by),
    CHECK ((verdict IS NULL) = (decided_at IS NULL))
);

CREATE INDEX chat_reports_about ON chat_reports (about);
CREATE INDEX chat_reports_reported_by ON chat_reports (reported_by);
CREATE INDEX chat_reports_decided_by ON chat_reports (decided_by);
