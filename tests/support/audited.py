"""The audit in tests: what stands in it, and parts that need one."""

import tempfile
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.stores import Transactions
from services.audit.ports import AuditLine, Wanted
from services.audit.verifying import Verifying
from tests.support.world import World
from workers.auditing import AuditJobs

KEY: Final = Ed25519PrivateKey.generate()
PUBLIC: Final = KEY.public_key().public_bytes_raw()


def verifying_of(world: World) -> Verifying:
    """Checks and signs the audit of a world."""
    return Verifying(world.transactions, world.clock, PUBLIC, KEY.sign)


def no_audit(world: World) -> AuditJobs:
    """The job that signs the audit, for who is about another job: its file lies nowhere."""
    return AuditJobs(verifying_of(world), Path(tempfile.gettempdir()) / "nowhere" / "checkpoints")


async def entries(transactions: Transactions) -> list[AuditLine]:
    """Everything in the audit, in the order in which it was told; linked or not."""
    async with transactions() as stores:
        lines = await stores.audit.lines(Wanted(), 10_000)
    return sorted(lines, key=lambda line: line.id)
