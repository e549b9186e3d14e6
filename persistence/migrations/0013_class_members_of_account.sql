-- Whether somebody is in a class for the first time is asked with every join.

CREATE INDEX class_members_of_account ON class_members (account_id, joined_at) WHERE role = 'athlete';
