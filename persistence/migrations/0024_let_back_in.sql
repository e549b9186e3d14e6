-- Who was sent out of a class can be let back in. `removals` counts both: it is odd while they are out, and orders what is said about it.

ALTER TABLE class_members
    ADD COLUMN removals integer NOT NULL DEFAULT 0;
UPDATE class_members SET removals = 1 WHERE removed_at IS NOT NULL;
ALTER TABLE class_members
    ADD CONSTRAINT class_members_out CHECK ((removals % 2 = 1) = (removed_at IS NOT NULL));
-- The classes that somebody co-coaches, on their list of classes.
CREATE INDEX class_members_co_coaching ON class_members (account_id) WHERE co_coach_since IS NOT NULL;
