-- The telephone number of an emergency contact. Each row is one time that a number was asked, by text message, with a link that answers;
-- nothing else is sent there before they have agreed. The current one of an account is the one that is not `replaced_at`; what was
-- refused stays, as with mail.
CREATE TABLE contact_phones (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    contact_id      uuid NOT NULL REFERENCES emergency_contacts (id) ON DELETE CASCADE,
    number          text NOT NULL,
    asked_at        timestamptz NOT NULL,
    agreed_at       timestamptz,
    refused_at      timestamptz,
    dead_at         timestamptz,
    replaced_at     timestamptz
);
CREATE UNIQUE INDEX contact_phones_current ON contact_phones (account_id) WHERE replaced_at IS NULL;
CREATE INDEX contact_phones_of_account ON contact_phones (account_id, asked_at);
CREATE INDEX contact_phones_of_contact ON contact_phones (contact_id);
CREATE INDEX contact_phones_of_number ON contact_phones (number, asked_at);
CREATE INDEX contact_phones_replaced ON contact_phones (replaced_at) WHERE refused_at IS NULL AND replaced_at IS NOT NULL;

-- A letter to a contact goes by mail, or as a text message to a number. Whatever the program thinks, each way is told once.
ALTER TABLE deliveries
    ADD COLUMN contact_phone_id uuid REFERENCES contact_phones (id) ON DELETE CASCADE,
    ADD CONSTRAINT deliveries_texts_to_contacts CHECK (
        contact_phone_id IS NULL OR (contact_id IS NOT NULL AND channel = 'sms')
    );
CREATE INDEX deliveries_of_contact_phone ON deliveries (contact_phone_id) WHERE contact_phone_id IS NOT NULL;
DROP INDEX deliveries_of_incident;
CREATE UNIQUE INDEX deliveries_of_incident ON deliveries (incident_id, contact_says, channel) WHERE incident_id IS NOT NULL;
