"""Every limit that is counted over all nodes, on one screen.

What one socket may send (services know nothing of it: realtime/limits.py) is counted where the socket is, because a sample must
not wait for an answer from elsewhere. The figures are chosen by feeling, each with the case that it must let pass.
"""

from typing import Final

from services.limits.limit import Limit

API: Final = Limit("api", 1_000, 50, "account", "here")
"""Requests of one account, whatever its devices: an app that starts asks thirty things, a page with a long list a hundred."""
KEY: Final = Limit("key", 600, 100, "API key or app of an account", "here")
"""Requests with one key or by one app for one account: a script that reads a year of workouts page by page."""
OPEN: Final = Limit("open", 600, 100, "address", "here")
"""Requests without a token from one address: a studio's screens and the start pages of everybody in its wireless network."""
ADDRESS: Final = Limit("attempts", 60, 1_000, "address", "here")
"""Registering, logging in, pairing, refreshing in vain: a class of forty behind one school's address logs in within a minute."""
EMAIL: Final = Limit("password", 10, 30_000, "e-mail", "here")
"""Passwords tried for one e-mail from anywhere: 2 900 a day, of which the commonest ten thousand are refused at the door."""
KNOWN: Final = Limit("password_known", 10, 30_000, "e-mail and address", "here")
"""The same from an address where this account has logged in before: a stranger who empties the e-mail's bucket does not lock the
owner out of their own phone."""
FACTOR: Final = Limit("factor", 10, 30_000, "account", "here")
"""Second factors shown for one account. Authenticator apps have a stricter one in the database (services/accounts/totp.py)."""
WRONG_CODE: Final = Limit("wrong_code", 20, 10_000, "account", "here")
"""Join codes that no class has (rooms/knocking.py): nobody misreads a wall so often."""
SCREENS: Final = Limit("screens", 10, 60_000, "address", "here")
"""Screens that ask to be let in: all those of a studio are switched on at once. At most 20 of one address wait at a time."""
USER_CODE: Final = Limit("user_code", 10, 30_000, "account", "here")
"""Codes off screens that were wrong: nobody mistypes eight letters so often. While all 2 000 screens wait that may, one account
would guess for twelve years until it hits any of them."""
USER_CODE_FROM: Final = Limit("user_code_from", 30, 5_000, "address", "here")
"""The same from one address, for whoever has many accounts: the coaches of a chain of studios behind one address."""
ORIGIN: Final = Limit("origin", 60, 1_000, "address", "here")
"""Origins of pages that a node looks up (services/apps/origins.py): who uses an app's page all day costs one in four seconds on
each node. Beyond it a page counts as a stranger's; nothing else is refused."""
UNKNOWN_KEY: Final = Limit("unknown_key", 100, 1_000, "address", "here")
"""Keys that a node has not met and the database does not have either (services/apps/lent.py). A key that is somebody's is given
back: the hundred is for those of one data centre that come at once, right after a node has started."""
HISTORY: Final = Limit("history", 10, 1_000, "account", "here")
"""Pages of a chat's history. Each reads up to all that a log keeps."""
REPORT: Final = Limit("report", 5, 60_000, "account", "refuse")
"""Messages that one account reports: each is a person's work."""

LIMITS: Final = {
    limit.name: limit
    for limit in (
        API,
        KEY,
        OPEN,
        ADDRESS,
        EMAIL,
        KNOWN,
        FACTOR,
        WRONG_CODE,
        SCREENS,
        USER_CODE,
        USER_CODE_FROM,
        ORIGIN,
        UNKNOWN_KEY,
        HISTORY,
        REPORT,
    )
}
