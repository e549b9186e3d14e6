"""Both documents as one page that people can read, made on the server, without a script.

Nothing is written twice: the page walks through the same two documents that `/openapi.json` and `/asyncapi.json` serve, so
whatever is true there is true here. Its stylesheet lies beside this file and is served from our own origin.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.http import asyncapi, openapi
from gateway.http.problems import title_of
from gateway.http.reference import problem_rows

STYLE: Final = Path(__file__).parent / "docs_page.css"
Json = dict[str, Any]
_VERBS: Final = ("get", "post", "put", "patch", "delete")


def page() -> str:
    """The whole page as HTML."""
    http, live = openapi.document(), asyncapi.document()
    shapes: Json = dict(http["components"]["schemas"])
    shapes.update({name: wrapped["schema"] for name, wrapped in live["components"]["schemas"].items()})
    tags = [tag["name"] for tag in http["tags"]]
    received = [name for name, operation in live["operations"].items() if operation["action"] == "receive"]
    sent = [name for name, operation in live["operations"].items() if operation["action"] == "send"]
    parts = [
        _section("http", "HTTP", _prose(http["info"]["description"])),
        *(_tag(http, tag) for tag in tags),
        _section("told", "Webhooks that you receive", "".join(_told(http, name) for name in http["webhooks"])),
        _section("live", "The socket", _prose(live["info"]["description"])),
        _section("from-client", "Events from a client", "".join(_event(live, name) for name in received)),
        _section("from-server", "Events from the server", "".join(_event(live, name) for name in sent)),
        _section("endings", "Endings", _endings(live)),
        _section("problems", "Problems", _problems()),
        _section("shapes", "Shapes", "".join(_shape(name, shapes[name]) for name in sorted(shapes))),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="dark light"><title>Paceline · API</title>'
        '<link rel="stylesheet" href="/docs.css"></head><body>'
        '<a class="skip" href="#content">Skip to the content</a>'
        '<main id="content"><header><p class="kicker">Paceline</p><h1>API reference</h1>'
        f'<p class="lead">{_inline(http["info"]["summary"])} Version {escape(http["info"]["version"])}.</p>'
        '<p class="raw"><a href="/openapi.json">openapi.json</a> <a href="/asyncapi.json">asyncapi.json</a>'
        ' <a class="jump" href="#contents">Contents</a></p></header>'
        # After the text: on a phone the contents are at the end, one tap away; a wide screen puts them at the side.
        f"{''.join(parts)}</main>{_navigation(http, tags, received, sent)}</body></html>"
    )


def _navigation(http: Json, tags: list[str], received: list[str], sent: list[str]) -> str:
    def links(of: Iterable[tuple[str, str]]) -> str:
        return "<ul>" + "".join(f'<li><a href="#{anchor}">{text}</a></li>' for anchor, text in of) + "</ul>"

    groups = []
    for tag in tags:
        rows = [
            (operation["operationId"], f'<b class="{verb}">{verb.upper()}</b> {escape(url)}')
            for url, verb, operation in _operations(http)
            if tag in operation["tags"]
        ]
        groups.append(f'<h2><a href="#{tag}">{tag.capitalize()}</a></h2>{links(rows)}')
    told = links((f"webhook-{name}", name) for name in http["webhooks"])
    groups.append(f'<h2><a href="#told">Webhooks that you receive</a></h2>{told}')
    for anchor, title, names in (("from-client", "From a client", received), ("from-server", "From the server", sent)):
        groups.append(f'<h2><a href="#{anchor}">{title}</a></h2>{links((f"event-{name}", name) for name in names)}')
    rest = (("endings", "Endings"), ("problems", "Problems"), ("shapes", "Shapes"))
    groups.append(f"<h2>Tables</h2>{links(rest)}")
    return f'<nav id="contents" aria-label="Contents">{"".join(groups)}</nav>'


def _operations(http: Json) -> Iterable[tuple[str, str, Json]]:
    for url, verbs in http["paths"].items():
        for verb in _VERBS:
            if verb in verbs:
                yield url, verb, verbs[verb]


def _tag(http: Json, tag: str) -> str:
    about = next(row["description"] for row in http["tags"] if row["name"] == tag)
    body = "".join(_operation(*row) for row in _operations(http) if tag in row[2]["tags"])
    return _section(tag, tag.capitalize(), f"<p>{_inline(about)}</p>{body}")


def _operation(url: str, verb: str, operation: Json) -> str:
    parts = [f"<p>{_inline(operation['summary'])} {_inline(operation.get('description', ''))}</p>"]
    if operation["security"]:
        parts.append('<p class="needs">Needs an access token: <code>Authorization: Bearer …</code></p>')
    if "parameters" in operation:
        fields = {row["name"]: row["schema"] for row in operation["parameters"]}
        needed = [row["name"] for row in operation["parameters"] if row["required"]]
        parts.append(f"<h4>Parameters</h4>{_fields({'properties': fields, 'required': needed})}")
    if "requestBody" in operation:
        parts.append(f"<h4>Body</h4>{_content(operation['requestBody']['content'])}")
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            parts.append(f"<h4>Answer {status}</h4>{_content(response.get('content', {}))}")
    failures = [
        f'<a class="code" href="#problem-{code}">{status} {code}</a>'
        for status, response in operation["responses"].items()
        for code in _codes(response)
    ]
    if failures:
        parts.append(f'<p class="failures">May answer: {" ".join(failures)}</p>')
    heading = f'<b class="{verb}">{verb.upper()}</b> <code>{escape(url)}</code>'
    return f'<article id="{operation["operationId"]}"><h3>{heading}</h3>{"".join(parts)}</article>'


def _told(http: Json, name: str) -> str:
    """A request that we make and a third party answers."""
    webhook = http["webhooks"][name]["post"]
    fields = {row["name"]: {**row["schema"], "description": row["description"]} for row in webhook["parameters"]}
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{_inline(response['description'])}</td></tr>"
        for status, response in webhook["responses"].items()
    )
    parts = (
        f"<p>{_inline(webhook['summary'])} {_inline(webhook['description'])}</p>",
        f"<h4>Headers</h4>{_fields({'properties': fields, 'required': list(fields)})}",
        f"<h4>Body</h4>{_content(webhook['requestBody']['content'])}",
        f"<h4>What your answer means</h4>{_table(('Status', 'Meaning'), answers)}",
    )
    return f'<article id="webhook-{name}"><h3><b class="out">OUT</b> <code>{escape(name)}</code></h3>{"".join(parts)}</article>'


def _codes(response: Json) -> list[str]:
    """The problem codes a response's description lists."""
    lines = response["description"].splitlines()
    return [line.split("`")[1] for line in lines if line.startswith("- `")]


def _content(content: Json) -> str:
    parts = []
    for media_type, of in content.items():
        name = _name_of(of["schema"])
        link = _link(name) if name else f"<code>{escape(media_type)}</code>"
        example = of.get("examples", {}).get("example")
        parts.append(f"<p>{link}</p>{_example(example['value']) if example else ''}")
    return "".join(parts) or "<p>No body.</p>"


def _event(live: Json, name: str) -> str:
    operation, messages = live["operations"][name], live["components"]["messages"]
    message = messages[name]
    parts = [
        f"<p>{_inline(operation['summary'])}</p>",
        f"<h4>Payload</h4><p>{_link(_name_of(message['payload']['schema']))}</p>",
        _example(message["examples"][0]["payload"]),
    ]
    if "reply" in operation:
        ack = messages[f"{name}.ack"]
        ok = ack["payload"]["schema"]["oneOf"][0]["properties"]["ok"]
        parts.append(f"<h4>Acknowledgement</h4><p>{_link(_name_of(ok))} as <code>ok</code>, or a problem</p>")
        parts.append(_example(ack["examples"][0]["payload"]))
    if "x-delivery" in operation:
        parts.append(f'<p class="needs">Delivery: {_inline(operation["x-delivery"]["means"])}</p>')
    way = "in" if operation["action"] == "receive" else "out"
    return (
        f'<article id="event-{name}"><h3><b class="{way}">{way.upper()}</b> <code>{escape(name)}</code></h3>'
        f"{''.join(parts)}</article>"
    )


def _endings(live: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{row['code']}</code></td><td><code>{escape(row['name'])}</code></td>"
        f"<td>{'come back' if row['come_back'] else 'stay away'}</td><td>{_inline(row['reason'])}</td></tr>"
        for row in live["x-endings"]
    )
    return _table(("Code", "Name", "Then", "Reason"), rows)


def _problems() -> str:
    rows = "".join(
        f'<tr id="problem-{row.code}"><td><code>{row.code}</code></td><td>{row.status}</td>'
        f"<td>{'yes' if row.retry else 'no'}</td><td><b>{title_of(row.code)}.</b> {_inline(row.meaning)}</td></tr>"
        for row in problem_rows()
    )
    return _table(("Code", "HTTP", "Retry", "Meaning"), rows)


def _shape(name: str, schema: Json) -> str:
    about = schema.get("description", "")
    if "prefixItems" in schema:
        body = "<p>An array of exactly these, in this order:</p>" + "<ol>"
        body += "".join(f"<li>{_kind(item)}</li>" for item in schema["prefixItems"]) + "</ol>"
    else:
        body = _fields(schema)
    return f'<article id="shape-{name}"><h3><code>{escape(name)}</code></h3>{_prose(about)}{body}</article>'


def _fields(schema: Json) -> str:
    needed = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(inner)}</td>"
        f"<td>{'required' if name in needed else _default(inner)}</td></tr>"
        for name, inner in schema.get("properties", {}).items()
    )
    return _table(("Field", "Type", ""), rows) if rows else "<p>No fields.</p>"


def _default(schema: Json) -> str:
    if "default" not in schema:
        return "optional"
    return f"<code>{escape(msgspec.json.encode(schema['default']).decode())}</code> unless given"


def _kind(schema: Json) -> str:
    """A schema in a few words."""
    name = _name_of(schema)
    if name:
        return _link(name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(one) for one in schema[several])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    kind = schema.get("type", "any")
    words = escape(" or ".join(kind) if isinstance(kind, list) else str(kind))
    if kind == "array" and isinstance(schema.get("items"), dict):
        words = f"array of {_kind(schema['items'])}"
    if "format" in schema:
        words = escape(schema["format"])
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"), ("minLength", "length ≥"), ("maxLength", "length ≤"))
        if key in schema
    ]
    limits += [
        f"{key} {schema[name]}" for key, name in (("at least", "minItems"), ("at most", "maxItems")) if name in schema
    ]
    if limits:
        words += f" <small>{escape(', '.join(limits))}</small>"
    if "description" in schema:
        words += f" <small>{_inline(schema['description'])}</small>"
    return words


def _name_of(schema: Json) -> str:
    """The name of the shape that a schema refers to, or nothing."""
    reference: str = schema.get("$ref", "")
    return reference.removeprefix("#/components/schemas/").removesuffix("/schema")


def _link(name: str) -> str:
    return f'<a class="shape" href="#shape-{name}">{escape(name)}</a>'


def _example(value: object) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return f'<details><summary>Example</summary><pre tabindex="0">{escape(text)}</pre></details>'


def _section(anchor: str, title: str, body: str) -> str:
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{body}</section>'


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph.strip())


def _inline(text: str) -> str:
    """Escaped text with `code` as code."""
    pieces = escape(" ".join(text.split()), quote=False).split("`")
    return "".join(f"<code>{piece}</code>" if n % 2 else piece for n, piece in enumerate(pieces))
