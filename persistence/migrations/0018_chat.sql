-- Whom people do not want to hear, and who may not speak in a class.

CREATE TABLE blocks (
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    blocked_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    blocked_at      timestamptz NOT NULL,
    PRIMARY KEY (account_id, blocked_id),
    CHECK (account_id <> blocked_id)
);

-- For an account that is deleted.
CREATE INDEX blocks_of_blocked ON blocks (blocked_id);

-- `until` NULL: for the rest of the class. One that has run out stays until the next takes its place.
CREATE TABLE class_mutes (
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    until           timestamptz,
    PRIMARY KEY (class_id, account_id)
);

CREATE INDEX class_mutes_of_account ON class_mutes (account_id);

-- Who has decided what about whom, in the order in which it happened; never changed afterwards.
CREATE TABLE chat_decisions (
    id              uuid PRIMARY KEY,
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    decided_by      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    about           uuid REFERENCES accounts (id) ON DELETE SET NULL,
    decision        text NOT NULL CHECK (decision IN ('mute', 'unmute', 'remove', 'keep')),
    until           timestamptz,
    position        text,
    decided_at      timestamptz NOT NULL
);

CREATE INDEX chat_decisions_of_class ON chat_decisions (class_id, id);
CREATE INDEX chat_decisions_by ON chat_decisions (decided_by);
CREATE INDEX chat_decisions_about ON chat_decisions (about);
