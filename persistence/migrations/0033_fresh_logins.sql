-- When a login last proved itself anew, and when it did so with a second factor: sensitive acts ask for it
-- (services/accounts/step_up.py).
ALTER TABLE logins
    ADD COLUMN fresh_at          timestamptz,
    ADD COLUMN second_factor_at  timestamptz;
