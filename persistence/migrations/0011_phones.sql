-- A telephone number is used once somebody has proved that they read what is sent to it. A check is one code on its way: the code
-- itself is stored nowhere, it is made from `id` and `number` with a key. `wrong` counts guesses. Rows stay for a day, because they are
-- also what the number of codes per account and per number is counted by.
CREATE TABLE phone_checks (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    number          text NOT NULL,
    made_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    wrong           smallint NOT NULL DEFAULT 0,
    ended_at        timestamptz,
    ended           text CHECK (ended IN ('confirmed', 'replaced', 'used_up', 'withdrawn')),
    CHECK ((ended_at IS NULL) = (ended IS NULL))
);
CREATE INDEX phone_checks_of_account ON phone_checks (account_id, made_at);
CREATE INDEX phone_checks_of_number ON phone_checks (number, made_at);
CREATE INDEX phone_checks_by_age ON phone_checks (made_at);
CREATE UNIQUE INDEX phone_checks_open ON phone_checks (account_id) WHERE ended_at IS NULL;

-- A number belongs to whoever proved it last.
CREATE INDEX phones_by_number ON phones (number);

-- What leaves is a notification, a digest of a period, or a code.
ALTER TABLE deliveries
    ADD COLUMN phone_check_id uuid REFERENCES phone_checks (id) ON DELETE CASCADE,
    DROP CONSTRAINT deliveries_check,
    ADD CONSTRAINT deliveries_say_one_thing CHECK (num_nonnulls(notification_id, period, phone_check_id) = 1);
CREATE INDEX deliveries_of_phone_check ON deliveries (phone_check_id) WHERE phone_check_id IS NOT NULL;
