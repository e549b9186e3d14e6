-- Who agrees to it is found on boards by their age group.

-- `showing_age`: the room may find somebody by their age group; `showing_age_group`: which one that is in this class, NULL where it is
-- not shown, or no birth date was known.
ALTER TABLE class_members
    ADD COLUMN showing_age boolean NOT NULL DEFAULT false,
    ADD COLUMN showing_age_group text
        CHECK (showing_age_group IN ('under_20', '20_29', '30_39', '40_49', '50_59', '60_69', '70_up'));
ALTER TABLE showing_defaults ADD COLUMN age boolean NOT NULL DEFAULT false;
ALTER TABLE consents
    DROP CONSTRAINT consents_purpose_check,
    ADD CONSTRAINT consents_purpose_check
        CHECK (purpose IN ('name', 'heart_rate', 'zone', 'score', 'body', 'age_group'));
