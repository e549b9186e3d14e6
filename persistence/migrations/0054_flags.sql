-- Switches of the whole installation (docs/systems/administration.md): those that somebody has set. What is not here is on. Every process
-- reads the few rows every two seconds (services/flags/flags.py).
CREATE TABLE flags (
    name            text PRIMARY KEY,
    is_on           boolean NOT NULL,
    reason          text NOT NULL,
    set_by          uuid REFERENCES accounts (id) ON DELETE SET NULL,
    set_by_command  text NOT NULL,
    set_at          timestamptz NOT NULL
);
-- For erasing an account.
CREATE INDEX flags_by ON flags (set_by);
