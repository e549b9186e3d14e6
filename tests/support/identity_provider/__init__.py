"""An identity provider for tests: OpenID Connect on a real port of loopback, with a page on which a person clicks who they are.

    async with open_identity_provider() as provider:
        provider.people.append(Person("anna-1", "anna@example.org", name="Anna"))
        toml = provider.toml("studio")              # a table for PACELINE_SIGN_IN
        provider.lie = "nonce"                      # what the next ID tokens are about, until it is "" again
        provider.faults.next(Fault("broken"))       # what the token endpoint does next
        provider.rotate()                           # another key signs from now on
        came = await provider.say_yes(url, "anna-1")    # what the person's click does: the query of the answer

It checks what it is sent as a provider should: the client and its secret (in the header, in the form, or signed, as Apple has it),
the return address, PKCE, and that a code is used once. It speaks GitHub's OAuth, too, for `kind = "github"`. Lies are in server.py.

    python -m tests.support.identity_provider --port 9080

runs one for trying things out by hand, with two people, and prints the table to put into the file (docs/howto/sign-in.md).
"""

from tests.support.identity_provider.server import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    Person,
    open_identity_provider,
)

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "IdentityProvider", "Person", "open_identity_provider"]
