"""The table is whole: it has what the catalogues have, nobody is left out, and the page says the same."""

from gateway.http.routes import ROUTES as CATALOGUE
from gateway.http.routes import WINDOWS
from realtime.wire import CLIENT_EVENTS
from services.kernel.problems import all_problems
from tests.matrix.page import FILE, page
from tests.matrix.roles import OK
from tests.matrix.table import EVENTS, ROUTES


def compare(catalogue: set[str], table: set[str], what: str, where: str) -> None:
    missing, unknown = sorted(catalogue - table), sorted(table - catalogue)
    assert not missing, (
        f"who may send {missing}? Add a row to {what} in tests/matrix/table.py, with a rule and valid input"
    )
    assert not unknown, f"{unknown} is in {what} of tests/matrix/table.py, but not in {where}: take the row out"


def test_every_event_of_a_client_has_a_row_and_every_row_an_event() -> None:
    compare({each.name for each in CLIENT_EVENTS}, {row.name for row in EVENTS}, "EVENTS", "realtime/wire.py")


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    routes = {f"{each.method} {each.url}" for each in CATALOGUE}
    windows = {f"{each.method} {each.url}" for each in WINDOWS}
    compare(routes | windows, {row.name for row in ROUTES}, "ROUTES", "gateway/http/routes.py")


def test_nothing_is_refused_to_everybody() -> None:
    allowed = {row.name for row in (*EVENTS, *ROUTES) if OK in row.rule.outcomes().values()}
    assert {row.name for row in (*EVENTS, *ROUTES)} == allowed


def test_rows_of_one_name_are_told_apart() -> None:
    for rows in (EVENTS, ROUTES):
        names = [(row.name, row.case) for row in rows]
        assert len(names) == len(set(names))


def test_every_refusal_is_one_of_the_catalogue() -> None:
    codes = {problem.code for problem in all_problems()} | {OK}
    assert {said for row in (*EVENTS, *ROUTES) for said in row.rule.outcomes().values()} <= codes


def test_the_page_says_what_the_table_says() -> None:
    assert FILE.read_text("utf-8") == page(), "make it anew: python -m tests.matrix"
