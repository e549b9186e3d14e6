"""The documents say what the code does: they are checked against the code, the standards and the files in docs."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped,unused-ignore]
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.app import build_app
from gateway.http import asyncapi, docs_page, openapi, reference
from gateway.http.documents import accepts_gzip, documents
from gateway.http.examples import EXAMPLES
from gateway.http.pages import PAGES
from gateway.http.router import Nothing
from gateway.http.routes import ROUTES, WINDOWS
from realtime.wire import CLIENT_EVENTS, EVENTS, SERVER_EVENTS
from services.integrations.events import EVENTS as WEBHOOK_EVENTS
from services.kernel.problems import all_problems
from tests.gateway.http.conftest import Api

HTTP = openapi.document()
LIVE = asyncapi.document()


def resolved(document: dict[str, Any], pointer: str) -> Any:
    """What a local reference refers to. Raises KeyError for one that leads nowhere."""
    assert pointer.startswith("#/")
    found: Any = document
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(value: Any) -> list[str]:
    """Every reference anywhere in a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for inner in value.values() for ref in references(inner)]
    if isinstance(value, list | tuple):
        return [ref for inner in value for ref in references(inner)]
    return []


def is_valid(document: dict[str, Any], schema: dict[str, Any], instance: object) -> None:
    """Raise unless `instance` fits `schema`, whose references point into `document`."""
    plain = msgspec.json.decode(msgspec.json.encode(instance))
    root = {**schema, "components": document["components"]}
    validator = jsonschema.Draft202012Validator(msgspec.json.decode(msgspec.json.encode(root)))
    validator.validate(plain)


class TestOpenApi:
    def test_is_a_valid_document_of_version_3_1(self) -> None:
        OpenAPIV31SpecValidator(msgspec.json.decode(msgspec.json.encode(HTTP))).validate()

    def test_has_every_route_of_the_application_and_no_other(self, api: Api) -> None:
        served = {
            (route.method, route.resource.canonical)
            for route in build_app(api.deps).router.routes()
            if route.resource is not None and route.method not in {"HEAD", "*"}
        }
        described = {(verb.upper(), url) for url, verbs in HTTP["paths"].items() for verb in verbs}
        pages = {("GET", url) for url in [*PAGES, "/assets/{name}", "/favicon.ico", "/docs.css"]}
        assert served - pages == described
        assert pages <= served

    def test_names_each_operation_once(self) -> None:
        names = [operation["operationId"] for verbs in HTTP["paths"].values() for operation in verbs.values()]
        assert len(names) == len(set(names)) == len(ROUTES) + len(WINDOWS)

    def test_examples_fit_their_schemas_and_the_decoders(self) -> None:
        for route in ROUTES:
            operation = HTTP["paths"][route.url][route.method.lower()]
            answers = operation["responses"][str(route.status)].get("content", {})
            contents = [] if route.media_type else [answers]
            assert not route.media_type or list(answers) == [route.media_type]
            contents.append(operation.get("requestBody", {}).get("content", {}))
            for content in contents:
                for media in content.values():
                    is_valid(HTTP, media["schema"], media["examples"]["example"]["value"])
            if route.body is not Nothing:
                msgspec.convert(
                    operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"], route.body
                )

    def test_says_which_routes_need_a_token(self) -> None:
        open_to_all = {
            operation["operationId"]
            for url, verbs in HTTP["paths"].items()
            for operation in verbs.values()
            if url.startswith("/v1/") and not operation["security"]
        }
        assert open_to_all == {
            "sign_in_providers",
            "begin_sign_in",
            "return_to_sign_in",
            "finish_sign_in",
            "register",
            "begin_registration",
            "send_registration_again",
            "finish_registration",
            "confirm_email",
            "finish_email_change",
            "undo_email_change",
            "ask_for_reset",
            "finish_reset",
            "look_at_invitation",
            "decline_invitation",
            "log_in",
            "finish_log_in",
            "log_in_options",
            "log_in_with_passkey",
            "refresh",
            "open_display",
            "begin_pairing",
            "poll_pairing",
            "demo",
            "all_scopes",
            "web_push_key",
            "sms_callback",
            "webhook_samples",
        }

    def test_has_every_webhook_event_with_its_headers_and_an_example_that_fits(self) -> None:
        assert list(HTTP["webhooks"]) == [kind.name for kind in WEBHOOK_EVENTS]
        for kind in WEBHOOK_EVENTS:
            webhook = HTTP["webhooks"][kind.name]["post"]
            assert [row["name"] for row in webhook["parameters"]] == [
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
            ]
            media = webhook["requestBody"]["content"]["application/json"]
            example = media["examples"]["example"]["value"]
            is_valid(HTTP, media["schema"], example)
            assert (example["type"], example["version"]) == (kind.name, 1)
            with pytest.raises(jsonschema.ValidationError):
                is_valid(HTTP, media["schema"], example | {"type": "something.else"})

    async def test_is_what_the_server_serves(self, api: Api) -> None:
        response = await api.call("GET", "/openapi.json")
        assert (response.status, response.content_type) == (200, "application/json")
        assert await response.json() == msgspec.json.decode(msgspec.json.encode(HTTP))


class TestAsyncApi:
    def test_has_the_members_that_version_3_asks_for(self) -> None:
        assert LIVE["asyncapi"] == "3.0.0"
        assert {"title", "version"} <= set(LIVE["info"])
        for server in LIVE["servers"].values():
            assert {"host", "protocol"} <= set(server)
        for channel in LIVE["channels"].values():
            assert channel["address"] == "/live"
        for operation in LIVE["operations"].values():
            assert operation["action"] in {"send", "receive"}
            assert set(operation["channel"]) == {"$ref"}

    def test_no_reference_leads_nowhere(self) -> None:
        for ref in references(LIVE) + references(HTTP):
            resolved(LIVE if ref in references(LIVE) else HTTP, ref)

    def test_the_messages_of_an_operation_are_messages_of_its_channel(self) -> None:
        for operation in LIVE["operations"].values():
            for part in (operation, operation.get("reply", {})):
                for message in part.get("messages", ()):
                    assert message["$ref"].startswith(part["channel"]["$ref"] + "/messages/")

    def test_has_every_event_of_the_catalogue_in_its_direction(self) -> None:
        operations = LIVE["operations"]
        assert set(operations) == {event.name for event in EVENTS}
        assert {name for name in operations if operations[name]["action"] == "receive"} == {
            e.name for e in CLIENT_EVENTS
        }
        for event in CLIENT_EVENTS:
            assert "reply" in operations[event.name]
        for event in SERVER_EVENTS:
            assert event.delivery is not None
            assert operations[event.name]["x-delivery"]["class"] == event.delivery.name.lower()

    @pytest.mark.parametrize("name", sorted(LIVE["components"]["messages"]))
    def test_the_example_of_each_message_fits_its_schema(self, name: str) -> None:
        message = LIVE["components"]["messages"][name]
        schema = message["payload"]["schema"]
        assert message["payload"]["schemaFormat"].endswith("2020-12")
        is_valid(LIVE, schema, message["examples"][0]["payload"])
        with pytest.raises(jsonschema.ValidationError):
            is_valid(LIVE, schema, {"never": "heard of"})

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
    def test_the_example_of_each_event_is_what_the_decoder_takes(self, event: Any) -> None:
        example = LIVE["components"]["messages"][event.name]["examples"][0]["payload"]
        assert msgspec.json.decode(msgspec.json.encode(example), type=event.shape) == EXAMPLES[event.shape]

    async def test_is_what_the_server_serves(self, api: Api) -> None:
        response = await api.call("GET", "/asyncapi.json")
        assert await response.json() == msgspec.json.decode(msgspec.json.encode(LIVE))


class Anchors(HTMLParser):
    """Ids, links and tags of a page."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(given)
        self.ids += [name for name in (given.get("id"),) if name]
        self.links += [link for link in (given.get("href"), given.get("src")) if link]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestPage:
    page = Anchors(docs_page.page())

    def test_is_well_formed(self) -> None:
        assert self.page.open == []
        assert len(self.page.ids) == len(set(self.page.ids))

    def test_shows_every_operation_event_and_problem(self) -> None:
        ids = set(self.page.ids)
        assert {route.name for route in ROUTES} | {window.name for window in WINDOWS} <= ids
        assert {f"event-{event.name}" for event in EVENTS} <= ids
        assert {f"webhook-{kind.name}" for kind in WEBHOOK_EVENTS} <= ids
        assert {f"problem-{row.code}" for row in reference.problem_rows()} <= ids

    def test_every_link_on_it_leads_somewhere(self) -> None:
        for link in self.page.links:
            assert link.startswith(("#", "/")), link
            if link.startswith("#"):
                assert link[1:] in self.page.ids, link

    def test_obeys_its_own_policy(self) -> None:
        assert not self.page.tags & {"script", "style", "iframe", "img"}
        assert "style" not in self.page.attributes
        assert not [name for name in self.page.attributes if name.startswith("on")]

    async def test_is_served_with_its_stylesheet(self, api: Api) -> None:
        page, style = await api.call("GET", "/docs"), await api.call("GET", "/docs.css")
        assert (page.content_type, style.content_type) == ("text/html", "text/css")
        assert "url(" not in await style.text()


class TestReference:
    @pytest.mark.parametrize("name", sorted(reference.files()))
    def test_files_are_what_the_code_says(self, name: str) -> None:
        kept = (reference.FOLDER / name).read_text(encoding="utf-8")
        assert kept == reference.files()[name], "run: python -m gateway.http.reference"

    def test_the_folder_is_the_one_of_the_repository(self) -> None:
        assert Path("docs/reference").resolve() == reference.FOLDER

    def test_every_problem_of_the_kernel_has_a_line_and_an_explanation(self) -> None:
        rows = {row.code: row for row in reference.problem_rows()}
        assert set(rows) == {kind.code for kind in all_problems() if kind.__module__ == "services.kernel.problems"}
        assert all(row.meaning and 400 <= row.status < 600 for row in rows.values())


class TestServing:
    @pytest.mark.parametrize("url", documents())
    async def test_what_is_compressed_is_the_same(self, api: Api, url: str) -> None:
        answers = {}
        for accepted in ("gzip, deflate, br", "identity"):
            session = api.client.session
            raw = await session.get(api.client.make_url(url), headers={"Accept-Encoding": accepted})
            answers[accepted] = raw.headers.get("Content-Encoding"), raw.headers["ETag"], await raw.read()
            assert (raw.headers["Vary"], raw.headers["Cache-Control"]) == ("Accept-Encoding", "no-cache")
        (packing, packed_tag, packed), (none, tag, plain) = answers.values()
        assert (packing, none) == ("gzip", None)
        assert packed == plain == documents()[url].plain
        assert packed_tag != tag
        assert len(documents()[url].packed) < len(plain) / 2

    @pytest.mark.parametrize("accepted", ["gzip", "identity"])
    async def test_who_has_it_is_told_so_and_the_page_keeps_its_policy(self, api: Api, accepted: str) -> None:
        first = await api.call("GET", "/docs", headers={"Accept-Encoding": accepted})
        headers = {"Accept-Encoding": accepted, "If-None-Match": first.headers["ETag"]}
        again = await api.call("GET", "/docs", headers=headers)
        assert (again.status, await again.read()) == (304, b"")
        for name in ("ETag", "Vary", "Content-Security-Policy"):
            assert again.headers[name] == first.headers[name]

    @pytest.mark.parametrize(
        ("said", "accepted"),
        [
            ("gzip", True),
            ("br;q=1.0, GZIP ; q=0.5", True),
            ("", False),
            ("br", False),
            ("*", False),
            ("gzip;q=0", False),
            ("deflate, gzip ; q=0.000", False),
            ("gzip," + "x" * 2_000, False),
        ],
    )
    def test_only_who_names_it_gets_it_compressed(self, said: str, accepted: bool) -> None:
        assert accepts_gzip(said) is accepted
