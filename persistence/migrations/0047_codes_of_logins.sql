-- A code for an app is worth nothing once the login in which its person agreed has ended (services/apps/exchanging.py). NULL: given by a node of
-- before; such codes end within a minute.
ALTER TABLE app_codes ADD COLUMN given_in uuid REFERENCES logins (id) ON DELETE CASCADE;
CREATE INDEX app_codes_given_in ON app_codes (given_in);
