"""How the switches stand, as this process knows: what everybody asks who has to stop.

Asking is a look into a dict, so it may be done for every message. `Flags.run` (flags.py) keeps it up to date.
"""

from collections.abc import Mapping
from typing import Final

from services.flags.flag import FLAGS, FlagName


class Switches:
    """See the module. Everything is on until something else is learned."""

    def __init__(self) -> None:
        self._off: frozenset[str] = frozenset()

    def on(self, name: FlagName) -> bool:
        """Whether this goes on."""
        return name not in self._off

    def require(self, name: FlagName) -> None:
        """Raise the problem of a flag that is off."""
        refused = FLAGS[name].refused
        if name in self._off and refused is not None:
            raise refused

    def learn(self, said: Mapping[str, bool]) -> list[str]:
        """This is what is set, and nothing else; the names that stand otherwise than before. What a newer program has set and
        this one does not know, it does not heed."""
        off = frozenset(name for name, on in said.items() if not on and name in FLAGS)
        changed = sorted(off ^ self._off)
        self._off = off
        return changed


ALL_ON: Final = Switches()
"""For whoever is given none. Nobody teaches it anything."""
