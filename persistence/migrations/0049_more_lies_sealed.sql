-- Whom somebody has named for when they do not answer, and telephone numbers, lie sealed under the key of the account. Equal ones are
-- found by an index of them that only the keys of the installation can make, whose number it begins with (services/privacy/vault.py). A
-- row is sealed, or plain as it was before; a pass seals what is plain (persistence/sealing_passes.py).
ALTER TABLE emergency_contacts
    ADD COLUMN sealed bytea,
    ADD COLUMN email_index bytea,
    ALTER COLUMN name DROP NOT NULL,
    ALTER COLUMN email DROP NOT NULL,
    ADD CONSTRAINT emergency_contacts_sealed_or_plain CHECK (
        num_nonnulls(name, email) = CASE WHEN sealed IS NULL THEN 2 ELSE 0 END AND (sealed IS NULL) = (email_index IS NULL)
    ) NOT VALID;
CREATE INDEX emergency_contacts_by_index ON emergency_contacts (email_index, asked_at);

ALTER TABLE contact_phones
    ADD COLUMN sealed bytea,
    ADD COLUMN number_index bytea,
    ALTER COLUMN number DROP NOT NULL,
    ADD CONSTRAINT contact_phones_sealed_or_plain CHECK (
        num_nonnulls(number, sealed) = 1 AND (sealed IS NULL) = (number_index IS NULL)
    ) NOT VALID;
CREATE INDEX contact_phones_by_index ON contact_phones (number_index, asked_at);

ALTER TABLE phones
    ADD COLUMN sealed bytea,
    ADD COLUMN number_index bytea,
    ALTER COLUMN number DROP NOT NULL,
    ADD CONSTRAINT phones_sealed_or_plain CHECK (
        num_nonnulls(number, sealed) = 1 AND (sealed IS NULL) = (number_index IS NULL)
    ) NOT VALID;
CREATE INDEX phones_by_index ON phones (number_index);

ALTER TABLE phone_checks
    ADD COLUMN sealed bytea,
    ADD COLUMN number_index bytea,
    ALTER COLUMN number DROP NOT NULL,
    ADD CONSTRAINT phone_checks_sealed_or_plain CHECK (
        num_nonnulls(number, sealed) = 1 AND (sealed IS NULL) = (number_index IS NULL)
    ) NOT VALID;
CREATE INDEX phone_checks_by_index ON phone_checks (number_index, made_at);

-- What was seen of a body: by whoever watches over it, and by the rules of fair play.
ALTER TABLE safety_incidents
    ADD COLUMN found_sealed bytea,
    ALTER COLUMN kind DROP NOT NULL,
    ALTER COLUMN bpm DROP NOT NULL,
    ADD CONSTRAINT safety_incidents_sealed_or_plain CHECK (
        num_nonnulls(kind, bpm) = CASE WHEN found_sealed IS NULL THEN 2 ELSE 0 END
    ) NOT VALID;
ALTER TABLE verdicts
    ADD COLUMN sketch_sealed bytea,
    ALTER COLUMN sketch DROP NOT NULL,
    ADD CONSTRAINT verdicts_sealed_or_plain CHECK (num_nonnulls(sketch, sketch_sealed) = 1) NOT VALID;

-- How often a table was gone through to its end (persistence/sealing_passes.py).
ALTER TABLE sealing_passes ADD COLUMN times smallint NOT NULL DEFAULT 0;
UPDATE sealing_passes SET times = 1 WHERE ended_at IS NOT NULL;
