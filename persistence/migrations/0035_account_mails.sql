-- Since when it is known that whoever has an account reads the mail of its address.
ALTER TABLE accounts ADD COLUMN verified_at timestamptz;

-- Mails about accounts, to an address: whether it has an account is looked up when one leaves, or when its link is used. Most have a
-- link, good until `ended_at`; its token is made of the id and a secret that is not here (services/accounts/account_mail.py). Of a
-- registration that waits for its address, `name`, `role` and `password_hash` are what the account will have.
CREATE TABLE account_mails (
    id              uuid PRIMARY KEY,
    says            text NOT NULL CHECK (says IN ('register', 'confirm', 'reset', 'change', 'undo', 'moving', 'password')),
    email           text NOT NULL CHECK (email = lower(email)),
    account_id      uuid REFERENCES accounts (id) ON DELETE CASCADE,
    name            text,
    role            text,
    password_hash   text,
    asked_at        timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK ((account_id IS NULL) = (says IN ('register', 'reset'))),
    CHECK (num_nonnulls(name, role, password_hash) = CASE says WHEN 'register' THEN 3 ELSE 0 END)
);
CREATE INDEX account_mails_of_email ON account_mails (email, says, asked_at);
CREATE INDEX account_mails_of_account ON account_mails (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX account_mails_by_age ON account_mails (asked_at);

-- What leaves may be a mail about an account; one to an address belongs to nobody.
ALTER TABLE deliveries
    ALTER COLUMN account_id DROP NOT NULL,
    ADD COLUMN account_mail_id uuid REFERENCES account_mails (id) ON DELETE CASCADE,
    DROP CONSTRAINT deliveries_say_one_thing,
    ADD CONSTRAINT deliveries_say_one_thing CHECK (
        num_nonnulls(notification_id, period, phone_check_id, contact_id, account_mail_id) = 1
    ),
    ADD CONSTRAINT deliveries_belong_to_somebody CHECK (account_id IS NOT NULL OR account_mail_id IS NOT NULL);
CREATE INDEX deliveries_of_account_mail ON deliveries (account_mail_id) WHERE account_mail_id IS NOT NULL;
