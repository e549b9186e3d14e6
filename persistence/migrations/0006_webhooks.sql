-- Webhooks: addresses of third-party programs, what is on its way to them, and what became of it.

-- `due_at` is when the endpoint's next turn is: null while nothing waits for it, or while it is paused; never before `rest_until`, until
-- when it is left alone. `leased_until` holds others off while a worker has the turn; `turn` counts the turns and is the fence against a
-- worker that was away for too long. One that was removed is invisible at once; the upkeep deletes it, and its deliveries in small bites.
CREATE TABLE webhook_endpoints (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    url             text NOT NULL,
    host            text NOT NULL,
    events          text[] NOT NULL,
    scopes          text[] NOT NULL,
    description     text NOT NULL,
    created_at      timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'failing', 'paused')),
    failures        integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    paused_reason   text CHECK (paused_reason IN ('dead', 'gone')),
    due_at          timestamptz,
    rest_until      timestamptz,
    turn            bigint NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    removed_at      timestamptz
);
CREATE INDEX webhook_endpoints_of_account ON webhook_endpoints (account_id);
CREATE INDEX webhook_endpoints_due ON webhook_endpoints (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_endpoints_removed ON webhook_endpoints (removed_at) WHERE removed_at IS NOT NULL;

-- Sealed with a key that is not in the database (services/integrations/sealing.py). The newest has no end.
CREATE TABLE webhook_secrets (
    endpoint_id     uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    number          integer NOT NULL,
    sealed          bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    not_after       timestamptz,
    PRIMARY KEY (endpoint_id, number)
);

-- `id` is the webhook-id, `body` what is sent, byte for byte, on every attempt. `attempts` are counted since it was made or replayed,
-- `calls` over its whole life; `traceparent` is where its fact was handled.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,
    endpoint_id     uuid NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    event           text NOT NULL,
    subject         text NOT NULL,
    body            bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    calls           integer NOT NULL DEFAULT 0,
    due_at          timestamptz,
    finished_at     timestamptz,
    last_status     smallint,
    traceparent     text NOT NULL,
    UNIQUE (endpoint_id, event, subject),
    CHECK ((state = 'pending') = (due_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (endpoint_id, due_at, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_of_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

CREATE TABLE webhook_attempts (
    delivery_id     uuid NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    n               integer NOT NULL,
    at              timestamptz NOT NULL,
    took_ms         integer NOT NULL,
    result          text NOT NULL CHECK (result IN ('answered', 'blocked', 'not_reached', 'unanswered')),
    status          smallint,
    detail          text NOT NULL,
    PRIMARY KEY (delivery_id, n)
);
