"""What waits for whoever decides, over HTTP: reported messages of all classes that they lead, and nobody else's."""

from uuid import UUID, uuid4

from services.kernel.clock import utc
from services.kernel.ids import AccountId, ClassId, ReportId
from tests.gateway.http.conftest import Api


async def test_reports_wait_for_who_leads_the_class_with_its_title_and_until_somebody_has_decided(api: Api) -> None:
    mira, eve = (await api.register(role="coach"))["access_token"], (await api.register(role="coach"))["access_token"]
    live = await (await api.call("POST", "/v1/classes", {"title": "Thursday"}, token=mira)).json()
    reporter = (await api.register())["account"]["id"]
    report_id = ReportId(uuid4())
    async with api.transactions() as stores:
        await stores.reports.add(
            report_id,
            ClassId(UUID(live["id"])),
            position="0f3a9c41-000000000012",
            n=1,
            about=None,
            text="<b>Boo</b>",
            reason="insult",
            by=AccountId(UUID(reporter)),
            at=utc(api.clock.wall_ms()),
        )

    async def waiting(token: str) -> list[tuple[str, str]]:
        found = await (await api.call("GET", "/v1/reports", token=token)).json()
        return [(each["title"], each["report"]["text"]) for each in found["reports"]]

    assert await waiting(mira) == [("Thursday", "<b>Boo</b>")]
    assert await waiting(eve) == []
    url = f"/v1/classes/{live['id']}/reports/{report_id}/verdict"
    assert (await api.call("PUT", url, {"verdict": "keep"}, token=mira)).status == 204
    assert await waiting(mira) == []
    assert (await api.call("GET", "/v1/reviews", token=mira)).status == 200
    assert (await api.call("GET", "/v1/reports")).status == 401
