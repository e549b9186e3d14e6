-- Messages of a class's chat that were taken down, with the text as it was said. `position` is where it stood in the room's log.
CREATE TABLE chat_removals (
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    position        text NOT NULL,
    account_id      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    text            text NOT NULL,
    removed_by      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    removed_at      timestamptz NOT NULL,
    PRIMARY KEY (class_id, position)
);

CREATE INDEX chat_removals_of_account ON chat_removals (account_id);
CREATE INDEX chat_removals_by ON chat_removals (removed_by);
