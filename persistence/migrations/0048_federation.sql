-- The login behind the access tokens of another issuer (docs/systems/sign-in.md): while it goes on they are taken for the account.
ALTER TABLE identities ADD COLUMN login_id uuid REFERENCES logins (id) ON DELETE SET NULL;
CREATE INDEX identities_of_login ON identities (login_id) WHERE login_id IS NOT NULL;
