"""Every row of the table, asked by everybody."""

import uuid
from dataclasses import replace

import pytest

from gateway.http.routes import ROUTES as CATALOGUE
from services.kernel.problems import NotFound, all_problems
from tests.matrix.conftest import Evenings
from tests.matrix.roles import FORBIDDEN, OK, OPERATORS, Who
from tests.matrix.scene import Answer, Evening
from tests.matrix.table import EVENTS, ROUTES, EventRow, RouteRow

STATUS = {problem.code: problem.status for problem in all_problems()}
DOCUMENTED = {f"{route.method} {route.url}": route for route in CATALOGUE}


def name_of(row: EventRow | RouteRow) -> str:
    return f"{row.name} ({row.case})" if row.case else row.name


@pytest.mark.parametrize("row", EVENTS, ids=name_of)
def test_an_event_does_what_the_table_says_for_everybody(evenings: Evenings, row: EventRow) -> None:
    async def attempt(evening: Evening, who: Who) -> str:
        seat = await evening.sits(who)
        payload = await row.ask(evening, who)
        return seat.refused or await seat.says(row.name, payload)

    found = evenings.everybody(attempt)
    assert found == row.rule.outcomes(), f"{name_of(row)}: expected on the right, see tests/matrix/table.py"


@pytest.mark.parametrize("row", ROUTES, ids=name_of)
def test_a_route_does_what_the_table_says_for_everybody(evenings: Evenings, row: RouteRow) -> None:
    method, _, url = row.name.partition(" ")

    async def attempt(evening: Evening, who: Who) -> Answer:
        return await evening.ask(who, method, url, await row.ask(evening, who))

    answers = evenings.everybody(attempt)
    found = {who: answer.said for who, answer in answers.items()}
    assert found == row.rule.outcomes(), f"{name_of(row)}: expected on the right, see tests/matrix/table.py"
    for who, answer in answers.items():
        assert_documented(row.name, who, answer)
    if "{id}" in url and answers[Who.STRANGER].status != STATUS[FORBIDDEN]:
        evenings.spend(lambda evening: assert_looks_like_nothing(evening, row))


async def assert_looks_like_nothing(evening: Evening, row: RouteRow) -> None:
    """What a stranger has nothing to do with answers as if it were not there."""
    method, _, url = row.name.partition(" ")
    asked = await row.ask(evening, Who.STRANGER)
    theirs = await evening.ask(Who.STRANGER, method, url, asked)
    if theirs.said == OK:
        return
    nowhere = replace(asked, path={**asked.path, "id": uuid.uuid4()})
    missing = await evening.ask(Who.STRANGER, method, url, nowhere)
    seen, unseen = [(answer.status, answer.said, answer.body["detail"]) for answer in (theirs, missing)]
    assert seen == unseen, f"{row.name} tells a stranger that there is something"
    assert row.rule is OPERATORS or theirs.status == NotFound.status


def assert_documented(name: str, who: Who, answer: Answer) -> None:
    """Status and code are those that the OpenAPI document names for this address."""
    route = DOCUMENTED.get(name)
    if answer.said != OK:
        assert answer.status == STATUS[answer.said], (name, who)
    if route is None:
        return
    if answer.said == OK:
        assert answer.status == route.status, (name, who)
    else:
        documented = {problem.code for problem in route.all_problems()}
        assert answer.said in documented, f"{who} gets {answer.said}, which the row of {name} does not name"
