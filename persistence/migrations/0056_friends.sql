-- Who is friends with whom, and who has asked.

-- Each friendship is there twice, once from each side.
CREATE TABLE friends (
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    friend_id       uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    since           timestamptz NOT NULL,
    PRIMARY KEY (account_id, friend_id),
    CHECK (account_id <> friend_id)
);
CREATE INDEX friends_of_friend ON friends (friend_id);

-- A request for thirty days, whatever becomes of it: whoever asks cannot tell one that is unanswered from one that is unwanted, or that
-- was sent to nobody. So `asked_id` refers to nothing. `called` is what the asker calls them.
CREATE TABLE friend_requests (
    asker_id        uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    asked_id        uuid NOT NULL,
    called          text NOT NULL,
    asked_at        timestamptz NOT NULL,
    withdrawn       boolean NOT NULL DEFAULT false,
    unwanted        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (asker_id, asked_id),
    CHECK (asker_id <> asked_id)
);
CREATE INDEX friend_requests_of_asked ON friend_requests (asked_id, asked_at);
CREATE INDEX friend_requests_by_age ON friend_requests (asked_at);
