-- Who leads a class beside its coach, and who was sent out of it. `coaches_n` counts the changes of who leads.

ALTER TABLE classes
    ADD COLUMN coaches_n integer NOT NULL DEFAULT 0;
ALTER TABLE class_members
    ADD COLUMN co_coach_since timestamptz,
    ADD COLUMN removed_at timestamptz,
    ADD COLUMN removed_by uuid REFERENCES accounts (id) ON DELETE SET NULL;
CREATE INDEX class_members_leading ON class_members (class_id) WHERE co_coach_since IS NOT NULL;
