-- Whom somebody has named to be told when they do not answer. Each row is one time that a contact was asked: by mail, with a link
-- that answers. Nothing else is sent before they have agreed. The current one is the one that is not `replaced_at`; what was
-- refused stays, so that nobody is asked again by somebody to whom they have said no.
CREATE TABLE emergency_contacts (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            text NOT NULL,
    email           text NOT NULL,
    asked_at        timestamptz NOT NULL,
    agreed_at       timestamptz,
    refused_at      timestamptz,
    dead_at         timestamptz,
    replaced_at     timestamptz
);
CREATE UNIQUE INDEX emergency_contacts_current ON emergency_contacts (account_id) WHERE replaced_at IS NULL;
CREATE INDEX emergency_contacts_of_account ON emergency_contacts (account_id, asked_at);
CREATE INDEX emergency_contacts_of_email ON emergency_contacts (email, asked_at);
CREATE INDEX emergency_contacts_replaced ON emergency_contacts (replaced_at) WHERE refused_at IS NULL AND replaced_at IS NOT NULL;

-- What leaves is a notification, a digest of a period, a code, or a letter to a contact: the question whether they agree, that
-- somebody does not answer, or that they have.
ALTER TABLE deliveries
    ADD COLUMN contact_id uuid REFERENCES emergency_contacts (id) ON DELETE CASCADE,
    ADD COLUMN contact_says text CHECK (contact_says IN ('ask', 'alarm', 'well')),
    ADD COLUMN incident_id uuid REFERENCES safety_incidents (id) ON DELETE CASCADE,
    DROP CONSTRAINT deliveries_say_one_thing,
    ADD CONSTRAINT deliveries_say_one_thing CHECK (num_nonnulls(notification_id, period, phone_check_id, contact_id) = 1),
    ADD CONSTRAINT deliveries_to_contacts CHECK (
        (contact_id IS NULL) = (contact_says IS NULL) AND (incident_id IS NOT NULL) = (contact_says IS NOT DISTINCT FROM 'alarm'
        OR contact_says IS NOT DISTINCT FROM 'well')
    );
CREATE INDEX deliveries_of_contact ON deliveries (contact_id) WHERE contact_id IS NOT NULL;
-- Whatever the program thinks, a contact is told once.
CREATE UNIQUE INDEX deliveries_of_incident ON deliveries (incident_id, contact_says) WHERE incident_id IS NOT NULL;
