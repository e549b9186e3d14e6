-- Teams in a class, and in a heat.

-- Names, in the order in which members count them; who is in one stays in it.
ALTER TABLE classes ADD COLUMN teams text[] NOT NULL DEFAULT '{}' CHECK (cardinality(teams) <> 1 AND cardinality(teams) <= 20);
ALTER TABLE class_members ADD COLUMN team smallint CHECK (team BETWEEN 0 AND 19);
