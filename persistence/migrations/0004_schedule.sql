-- What happens by the clock, and work that takes long.

-- Who does what only one may do. `epoch` counts the leaders there have been and is the fence: a transaction of a leader holds its
-- (name, epoch) FOR KEY SHARE, so a change of epoch, which is part of a key, waits for it and shuts out all later ones, while
-- renewing the lease waits for nobody.
CREATE TABLE leadership (
    name            text PRIMARY KEY,
    epoch           bigint NOT NULL,
    holder          text NOT NULL,
    since           timestamptz NOT NULL,
    lease_until     timestamptz NOT NULL,
    UNIQUE (name, epoch)
);

-- The jobs as the newest leader that knows them has announced them. All due times up to `cursor_at` are decided.
-- `wanted_at`: somebody asks for it now.
CREATE TABLE schedule_jobs (
    job             text PRIMARY KEY,
    spec            text NOT NULL,
    missed          text NOT NULL,
    epoch           bigint NOT NULL,
    cursor_at       timestamptz NOT NULL,
    next_due_at     timestamptz,
    wanted_at       timestamptz,
    failures        bigint NOT NULL DEFAULT 0
);

-- One due time of a job, taken by being inserted. `did` how much of it is done and committed; open while `ended_at` is null.
CREATE TABLE schedule_ticks (
    job             text NOT NULL,
    due_at          timestamptz NOT NULL,
    epoch           bigint NOT NULL,
    taken_at        timestamptz NOT NULL,
    ended_at        timestamptz,
    did             bigint NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    problem         text,
    PRIMARY KEY (job, due_at)
);
CREATE INDEX schedule_ticks_open ON schedule_ticks (job) WHERE ended_at IS NULL;
CREATE INDEX schedule_ticks_by_age ON schedule_ticks (ended_at) WHERE ended_at IS NOT NULL;

-- Facts to be told later.
CREATE TABLE schedule_once (
    kind            text NOT NULL,
    key             text NOT NULL,
    due_at          timestamptz NOT NULL,
    aggregate_id    uuid NOT NULL,
    fact            jsonb NOT NULL,
    traceparent     text NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX schedule_once_due ON schedule_once (due_at);

-- Work that takes long: the row is the truth, whoever is at it. `epoch` counts the workers that have taken it and is the fence: a
-- step commits only under the newest. `attempt` counts takings since the last step that was committed.
CREATE TABLE long_tasks (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind            text NOT NULL,
    key             text NOT NULL,
    work            jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'waiting'
                    CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    done            bigint NOT NULL DEFAULT 0,
    total           bigint,
    note            text NOT NULL DEFAULT '',
    checkpoint      jsonb,
    attempt         integer NOT NULL DEFAULT 0,
    epoch           integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    lease_until     timestamptz,
    cancel_asked_at timestamptz,
    result          jsonb,
    problem         text,
    created_at      timestamptz NOT NULL,
    started_at      timestamptz,
    ended_at        timestamptz,
    file_until      timestamptz,
    traceparent     text NOT NULL,
    UNIQUE (account_id, key)
);
CREATE INDEX long_tasks_of_account ON long_tasks (account_id, created_at DESC);
CREATE INDEX long_tasks_waiting ON long_tasks (kind, created_at) WHERE state = 'waiting';
CREATE INDEX long_tasks_running ON long_tasks (kind, created_at) WHERE state = 'running';
-- One at a time of a kind for one person.
CREATE UNIQUE INDEX long_tasks_one_running ON long_tasks (account_id, kind) WHERE state = 'running';
CREATE INDEX long_tasks_by_age ON long_tasks (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX long_tasks_with_file ON long_tasks (file_until) WHERE file_until IS NOT NULL;
