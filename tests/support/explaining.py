"""What statements cost in rows, whatever their plan: for queries that must not read more than they need."""

import json
from collections.abc import Iterator
from typing import Any

from persistence.database import Tx


class Explaining:
    """A transaction that also notes how many rows the largest step of each statement has seen."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.most = 0
        self.worst = ""

    async def fetch(self, query: str, *args: Any) -> Any:
        await self._explain(query, args)
        return await self._tx.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        await self._explain(query, args)
        return await self._tx.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        await self._explain(query, args)
        return await self._tx.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> Any:
        await self._explain(query, args)
        return await self._tx.execute(query, *args)

    async def _explain(self, query: str, args: tuple[Any, ...]) -> None:
        if query.startswith("SET"):
            return
        trial = self._tx.transaction()
        await trial.start()
        plan: str = await self._tx.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}", *args)
        await trial.rollback()
        for step in _steps(json.loads(plan)[0]["Plan"]):
            each = step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
            rows = round(each * step["Actual Loops"])
            if rows > self.most:
                self.most, self.worst = rows, f"{rows} rows in {step['Node Type']} of {query}"


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for step in plan.get("Plans", ()):
        yield from _steps(step)
