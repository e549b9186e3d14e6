-- What the members of a team have together, kept while their scores move, so that nobody adds up ten thousand when they look.

CREATE TABLE challenge_teams (
    challenge_id    uuid NOT NULL REFERENCES challenges (id) ON DELETE CASCADE,
    team            smallint NOT NULL,
    value           bigint NOT NULL,
    tie             bigint NOT NULL,
    PRIMARY KEY (challenge_id, team)
);

-- When the last of those who brought something had reached theirs.
CREATE INDEX challenge_members_by_team ON challenge_members (challenge_id, team, tie)
    WHERE left_at IS NULL AND value > 0 AND team IS NOT NULL;

INSERT INTO challenge_teams (challenge_id, team, value, tie)
SELECT challenge_id, team, sum(value), max(tie) FROM challenge_members
WHERE left_at IS NULL AND value > 0 AND team IS NOT NULL
GROUP BY challenge_id, team;
