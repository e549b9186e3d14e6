-- Fair play: what the rules have found in workouts, and the cases that come of it.

-- What stands. `revision` goes up with it, because it changes what the workout is worth.
ALTER TABLE workouts ADD COLUMN verdict text NOT NULL DEFAULT 'accepted' CHECK (verdict IN ('accepted', 'flagged', 'rejected'));
ALTER TABLE challenge_scores ADD COLUMN mark text CHECK (mark IN ('flagged', 'rejected'));
CREATE INDEX challenge_scores_of_workout ON challenge_scores (workout_id);

-- What one pass over a workout has found: of its stream alone, and to compare it with others (services/training/evidence.py).
-- `waiting` is what its case waits for, since `waiting_since`.
CREATE TABLE verdicts (
    workout_id      uuid PRIMARY KEY REFERENCES workouts (id) ON DELETE CASCADE,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    began_at        timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    judged_at       timestamptz NOT NULL,
    rules_version   integer NOT NULL,
    grade           text NOT NULL,
    samples         bigint NOT NULL,
    findings        jsonb NOT NULL,
    mean_bpm        smallint,
    fingerprint     text,
    sketch          smallint[] NOT NULL,
    waiting         text CHECK (waiting IN ('appeal', 'review')),
    waiting_since   timestamptz
);
CREATE INDEX verdicts_waiting ON verdicts (waiting, waiting_since) WHERE waiting IS NOT NULL;

-- The steps of a case, each made once and never changed: who did what and when.
CREATE TABLE verdict_steps (
    workout_id      uuid NOT NULL REFERENCES workouts (id) ON DELETE CASCADE,
    n               integer NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('judged', 'appealed', 'ruled')),
    at              timestamptz NOT NULL,
    by_account      uuid REFERENCES accounts (id) ON DELETE SET NULL,
    verdict         text NOT NULL,
    decision        text,
    findings        jsonb NOT NULL,
    said            text NOT NULL DEFAULT '',
    PRIMARY KEY (workout_id, n)
);

-- What was found between two workouts, the smaller id first; it is a finding of both.
CREATE TABLE verdict_pairs (
    one_id          uuid NOT NULL REFERENCES workouts (id) ON DELETE CASCADE,
    other_id        uuid NOT NULL REFERENCES workouts (id) ON DELETE CASCADE,
    rule            text NOT NULL,
    verdict         text NOT NULL,
    figure          double precision NOT NULL,
    found_at        timestamptz NOT NULL,
    PRIMARY KEY (one_id, other_id, rule)
);
CREATE INDEX verdict_pairs_of_other ON verdict_pairs (other_id);

-- Whom a workout is compared with: who was out in the same hours with about the same heart rate, and who has the same fingerprint.
CREATE INDEX verdicts_by_hours ON verdicts
    USING gist (tstzrange(began_at, ended_at, '[]'), int4range(mean_bpm, mean_bpm, '[]')) WHERE mean_bpm IS NOT NULL;
CREATE INDEX verdicts_by_fingerprint ON verdicts (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX verdicts_of_account ON verdicts (account_id, began_at);
