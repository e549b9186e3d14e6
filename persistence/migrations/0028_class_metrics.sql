-- What the board of a class is ranked by, and what the figures of its athletes are made of.

-- `ranking_n` counts the changes: of two that a node hears the higher one holds.
ALTER TABLE classes
    ADD COLUMN metric text NOT NULL DEFAULT 'effort'
        CHECK (metric IN ('effort', 'zone_minutes', 'calories', 'improvement')),
    ADD COLUMN ranking_n integer NOT NULL DEFAULT 0;

-- nkcal; 0 also where the body is not known well enough.
ALTER TABLE streams ADD COLUMN burned bigint NOT NULL DEFAULT 0;

-- `baseline`: the mean zone of earlier workouts in thousandths, as it was when somebody joined; NULL where there was none.
-- `showing_body`: the room may see figures that tell of the body.
ALTER TABLE class_members
    ADD COLUMN baseline smallint CHECK (baseline > 0),
    ADD COLUMN showing_body boolean NOT NULL DEFAULT false;
ALTER TABLE showing_defaults ADD COLUMN body boolean NOT NULL DEFAULT false;
ALTER TABLE consents
    DROP CONSTRAINT consents_purpose_check,
    ADD CONSTRAINT consents_purpose_check CHECK (purpose IN ('name', 'heart_rate', 'zone', 'score', 'body'));
