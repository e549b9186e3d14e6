-- What people are told: their inboxes, what they chose to hear, where they can be reached, and what is on its way.

-- One row per person who has chosen anything; without one the defaults hold. `revision` counts the changes.
-- `dead_email` is an address that a mail server has said nobody lives at: nothing is sent to it while it is the account's.
CREATE TABLE notification_settings (
    account_id          uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    locale              text NOT NULL DEFAULT 'en',
    time_zone           text NOT NULL DEFAULT 'UTC',
    quiet_begins        smallint CHECK (quiet_begins BETWEEN 0 AND 1439),
    quiet_until         smallint CHECK (quiet_until BETWEEN 0 AND 1439),
    digest_hour         smallint NOT NULL DEFAULT 8 CHECK (digest_hour BETWEEN 0 AND 23),
    digest_weekday      smallint CHECK (digest_weekday BETWEEN 0 AND 6),
    revision            integer NOT NULL DEFAULT 0,
    changed_at          timestamptz NOT NULL,
    dead_email          text,
    dead_email_reason   text,
    CHECK ((quiet_begins IS NULL) = (quiet_until IS NULL))
);

-- Only what differs from a topic's own way.
CREATE TABLE notification_preferences (
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    topic           text NOT NULL,
    channel         text NOT NULL CHECK (channel IN ('email', 'push', 'sms')),
    way             text NOT NULL CHECK (way IN ('off', 'now', 'digest')),
    PRIMARY KEY (account_id, topic, channel)
);

-- A push token belongs to an installation of the app: unique, and it moves with whoever logs in there. It goes when that login
-- ends. No reference to logins: a token outlives none of them, and may be told of in the moment in which one ends.
CREATE TABLE devices (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    login_id        uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('apns', 'fcm', 'webpush')),
    address         text NOT NULL CHECK (length(address) <= 1024),
    p256dh          text NOT NULL DEFAULT '',
    auth            text NOT NULL DEFAULT '',
    name            text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    dead_at         timestamptz,
    dead_reason     text,
    UNIQUE (address, kind)
);
CREATE INDEX devices_of_account ON devices (account_id, seen_at DESC);
CREATE INDEX devices_of_login ON devices (login_id);

CREATE TABLE phones (
    account_id      uuid PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    number          text NOT NULL,
    verified_at     timestamptz,
    dead_at         timestamptz,
    dead_reason     text
);

-- What an operator says to many. `class_id` narrows it to the members of a class; of one `subject` a later one takes the earlier
-- one's place. `told` counts the people who have been told so far.
CREATE TABLE announcements (
    id              uuid PRIMARY KEY,
    content         jsonb NOT NULL,
    class_id        uuid REFERENCES classes (id) ON DELETE CASCADE,
    subject         text NOT NULL,
    made_at         timestamptz NOT NULL,
    told            integer NOT NULL DEFAULT 0,
    finished_at     timestamptz
);
CREATE INDEX announcements_by_subject ON announcements (subject);

-- The inbox. `told_at` orders it; of one `collapse_key` an account has one.
CREATE TABLE notifications (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    topic           text NOT NULL,
    template        text NOT NULL,
    version         smallint NOT NULL,
    content         jsonb NOT NULL,
    collapse_key    text NOT NULL,
    told_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    read_at         timestamptz,
    UNIQUE (account_id, collapse_key)
);
CREATE INDEX notifications_of_account ON notifications (account_id, told_at DESC, id DESC);
CREATE INDEX notifications_unread ON notifications (account_id, expires_at) WHERE read_at IS NULL;
CREATE INDEX notifications_by_expiry ON notifications (expires_at);

-- One notification on its way to one address. `lane` is the queue it waits in, one per provider; `due_at` when it may leave, or,
-- while it is being sent, when the worker that has it must have finished. A digest has no notification but a `period`, the
-- instant it was due, and what it carries points to it by `digest_id`. `traceparent` says what led to it (services/kernel/trace.py).
CREATE TABLE deliveries (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    notification_id uuid REFERENCES notifications (id) ON DELETE CASCADE,
    digest_id       uuid REFERENCES deliveries (id) ON DELETE SET NULL,
    period          timestamptz,
    channel         text NOT NULL CHECK (channel IN ('email', 'push', 'sms')),
    lane            text NOT NULL CHECK (lane IN ('email', 'apns', 'fcm', 'webpush', 'sms', 'digest')),
    urgent          boolean NOT NULL,
    device_id       uuid REFERENCES devices (id) ON DELETE SET NULL,
    state           text NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'delivered', 'bounced', 'failed', 'in_doubt',
                                                   'suppressed', 'expired', 'collapsed')),
    attempts        smallint NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    made_at         timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    provider        text,
    provider_id     text,
    reason          text,
    traceparent     text NOT NULL DEFAULT '',
    CHECK ((notification_id IS NULL) = (period IS NOT NULL))
);
CREATE INDEX deliveries_due ON deliveries (lane, urgent, due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX deliveries_of_notification ON deliveries (notification_id) WHERE notification_id IS NOT NULL;
CREATE INDEX deliveries_of_device ON deliveries (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX deliveries_gathered ON deliveries (digest_id) WHERE digest_id IS NOT NULL;
CREATE INDEX deliveries_to_gather ON deliveries (account_id) WHERE lane = 'digest' AND state = 'waiting';
CREATE INDEX deliveries_digests ON deliveries (period) WHERE period IS NOT NULL;
CREATE INDEX deliveries_by_provider ON deliveries (provider, provider_id) WHERE provider_id IS NOT NULL;
CREATE INDEX deliveries_in_doubt ON deliveries (changed_at) WHERE state = 'in_doubt';
