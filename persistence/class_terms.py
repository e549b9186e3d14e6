"""The terms of a class on offer, of a series and of a class on demand, as they are stored.

Terms are read strictly. A program of the release before knows no teams, so where there are none nothing is said of them: in a
rolling restart it reads every class but those that have some.
"""

import msgspec

from services.classes.offer import Terms
from services.classes.on_demand import OnDemandTerms


def stored(terms: Terms | OnDemandTerms) -> str:
    """The JSON that is stored."""
    said = msgspec.to_builtins(terms)
    if not terms.teams:
        del said["teams"]
    return msgspec.json.encode(said).decode()
