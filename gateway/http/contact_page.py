"""What an emergency contact, who has no account, sees behind the link in their mail or text message: the question, and two buttons.

Looking at the link changes nothing, because scanners of mail look at every link. The POST needs no login, sets no cookie and leads
nowhere else. `answer=no` is also what a mail program posts in one click (RFC 8058). The page is in the language that the browser
asks for.
"""

from dataclasses import dataclass, replace
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from gateway.http.card_page import card_page, first_language
from gateway.http.ports import GatewayDeps
from services.kernel.problems import BadShape
from services.safety.contact import Contact
from services.safety.contact_phone import ContactPhone
from services.safety.question import may_agree, state_of

PATH: Final = "/emergency-contact"
PHONE_PATH: Final = "/emergency-contact/phone"


@dataclass(frozen=True)
class _Page:
    """What the page says in one language. `{who}` is the one who asks."""

    ask: str
    what: str
    nothing: str
    yes: str
    no: str
    agreed: str
    agreed_what: str
    withdraw: str
    refused: str
    refused_what: str
    over: str
    over_what: str
    never: str


_WORDS: Final = {
    "en": _Page(
        ask="May we write to you in an emergency?",
        what="{who} has named you as emergency contact. When {who} trains with Paceline and does not answer whether everything is"
        " all right, we write to you.",
        nothing="Nothing is sent to you before you agree, and you can take it back at any time on this page. Paceline is no medical"
        " device, and calls no ambulance.",
        yes="I agree",
        no="No",
        agreed="You are an emergency contact",
        agreed_what="You have agreed that we write to you when {who} does not answer.",
        withdraw="Take it back",
        refused="We do not write to you",
        refused_what="You have said no. {who} cannot ask you again at this address.",
        over="This is asked no more",
        over_what="{who} has named somebody else, or the question was not answered in time. Nothing is sent to you.",
        never="Never ask me again",
    ),
    "de": _Page(
        ask="Dürfen wir dir im Notfall schreiben?",
        what="{who} hat dich als Notfallkontakt angegeben. Wenn {who} mit Paceline trainiert und nicht antwortet, ob alles in"
        " Ordnung ist, dann schreiben wir dir.",
        nothing="Bevor du zustimmst, schicken wir dir nichts, und auf dieser Seite kannst du es jederzeit zurücknehmen. Paceline"
        " ist kein Medizinprodukt und ruft keinen Krankenwagen.",
        yes="Ich stimme zu",
        no="Nein",
        agreed="Du bist Notfallkontakt",
        agreed_what="Du hast zugestimmt, dass wir dir schreiben, wenn {who} nicht antwortet.",
        withdraw="Zurücknehmen",
        refused="Wir schreiben dir nicht",
        refused_what="Du hast nein gesagt. {who} kann dich unter dieser Adresse nicht noch einmal fragen.",
        over="Das wird nicht mehr gefragt",
        over_what="{who} hat jemand anderen angegeben, oder die Frage wurde nicht rechtzeitig beantwortet. Wir schicken dir"
        " nichts.",
        never="Frag mich nie wieder",
    ),
}


_PHONE_WORDS: Final = {
    "en": replace(
        _WORDS["en"],
        ask="May we text you in an emergency?",
        what="{who} has named you as emergency contact. When {who} trains with Paceline and does not answer whether everything is"
        " all right, we send you a text message.",
        agreed_what="You have agreed that we text you when {who} does not answer.",
        refused="We do not text you",
        refused_what="You have said no. {who} cannot ask you again at this number.",
        over_what="{who} has named somebody else or another number, or the question was not answered in time. Nothing is sent"
        " to you.",
    ),
    "de": replace(
        _WORDS["de"],
        ask="Dürfen wir dir im Notfall eine SMS schicken?",
        what="{who} hat dich als Notfallkontakt angegeben. Wenn {who} mit Paceline trainiert und nicht antwortet, ob alles in"
        " Ordnung ist, dann schicken wir dir eine SMS.",
        agreed_what="Du hast zugestimmt, dass wir dir eine SMS schicken, wenn {who} nicht antwortet.",
        refused="Wir schicken dir keine SMS",
        refused_what="Du hast nein gesagt. {who} kann dich unter dieser Nummer nicht noch einmal fragen.",
        over_what="{who} hat jemand anderen oder eine andere Nummer angegeben, oder die Frage wurde nicht rechtzeitig"
        " beantwortet. Wir schicken dir nichts.",
    ),
}


def add_contact_page(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer the links in mails and text messages to emergency contacts."""

    async def ask(request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        return _answer(request, token, await deps.contacts.asked(token), deps.clock.wall_ms())

    async def answer(request: web.Request) -> web.Response:
        token, agrees = _said(request)
        return _answer(request, token, await deps.contacts.answer(token, agrees=agrees), deps.clock.wall_ms())

    async def ask_phone(request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        return _answer(request, token, await deps.contact_phones.asked(token), deps.clock.wall_ms())

    async def answer_phone(request: web.Request) -> web.Response:
        token, agrees = _said(request)
        return _answer(request, token, await deps.contact_phones.answer(token, agrees=agrees), deps.clock.wall_ms())

    app.router.add_get(PATH, ask, name="contact_page")
    app.router.add_post(PATH, answer, name="answer_as_contact")
    app.router.add_get(PHONE_PATH, ask_phone, name="contact_phone_page")
    app.router.add_post(PHONE_PATH, answer_phone, name="answer_as_contact_phone")


def _said(request: web.Request) -> tuple[str, bool]:
    said = request.query.get("answer", "")
    if said not in {"yes", "no"}:
        raise BadShape("the answer is yes or no", path="$.answer")
    return request.query.get("token", ""), said == "yes"


def _answer(request: web.Request, token: str, asked: Contact | ContactPhone, now_ms: int) -> web.Response:
    language = first_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), _WORDS)
    match asked:
        case Contact():
            words, path = _WORDS[language], PATH
        case ContactPhone():
            words, path = _PHONE_WORDS[language], PHONE_PATH
    if may_agree(asked, now_ms):
        title, what = words.ask, words.what
        foot = (
            f'<p class="muted">{escape(words.nothing)}</p>'
            + _button(path, token, "yes", words.yes, primary=True)
            + _button(path, token, "no", words.no)
        )
    elif asked.refused_at_ms is not None:
        title, what, foot = words.refused, words.refused_what, ""
    elif asked.replaced_at_ms is None and state_of(asked, now_ms) == "agreed":
        title, what, foot = words.agreed, words.agreed_what, _button(path, token, "no", words.withdraw)
    else:
        title, what, foot = words.over, words.over_what, _button(path, token, "no", words.never)
    body = f"<p>{escape(what.format(who=asked.athlete))}</p>"
    return card_page(language, title, body + foot, page="contact")


def _button(path: str, token: str, answer: str, label: str, *, primary: bool = False) -> str:
    kind = "button button-primary button-wide" if primary else "button button-wide"
    return (
        f'<form method="post" action="{path}?token={quote(token)}&amp;answer={answer}">'
        f'<button class="{kind}" type="submit">{escape(label)}</button></form>'
    )
