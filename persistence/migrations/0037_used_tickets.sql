-- Tickets for a socket that were used (services/accounts/tickets.py), until nobody could use them again. The id leads to nobody.
CREATE TABLE used_tickets (
    id       uuid PRIMARY KEY,
    ends_at  timestamptz NOT NULL
);
CREATE INDEX used_tickets_ends_at ON used_tickets (ends_at);
