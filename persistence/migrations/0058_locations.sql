-- Where somebody was as a workout began, as far as their device has told, in tenths of a degree: to find one person in two places at
-- once (services/training/location.py). Forgotten after thirty days.
CREATE TABLE workout_locations (
    workout_id      uuid PRIMARY KEY REFERENCES workouts (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    latitude        smallint NOT NULL CHECK (latitude BETWEEN -900 AND 900),
    longitude       smallint NOT NULL CHECK (longitude BETWEEN -1800 AND 1800),
    told_at         timestamptz NOT NULL
);
CREATE INDEX workout_locations_of_account ON workout_locations (account_id);
CREATE INDEX workout_locations_by_age ON workout_locations (told_at);
