"""What an emergency contact sees behind the link in their mail: the question, and two buttons. They have no account.

Looking at the link changes nothing, because scanners of mail look at every link. The POST needs no login, sets no cookie and leads
nowhere else. `answer=no` is also what a mail program posts in one click (RFC 8058). The page is in the language that the browser
asks for.
"""

from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from gateway.http.card_page import card_page, first_language
from gateway.http.ports import GatewayDeps
from services.kernel.problems import BadShape
from services.safety.contact import Contact, may_agree, state_of

PATH: Final = "/emergency-contact"


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


def add_contact_page(app: web.Application, deps: GatewayDeps) -> None:
    """Make `app` answer the links in letters to emergency contacts."""

    async def ask(request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        return _answer(request, token, await deps.contacts.asked(token), deps.clock.wall_ms())

    async def answer(request: web.Request) -> web.Response:
        token, said = request.query.get("token", ""), request.query.get("answer", "")
        if said not in {"yes", "no"}:
            raise BadShape("the answer is yes or no", path="$.answer")
        contact = await deps.contacts.answer(token, agrees=said == "yes")
        return _answer(request, token, contact, deps.clock.wall_ms())

    app.router.add_get(PATH, ask, name="contact_page")
    app.router.add_post(PATH, answer, name="answer_as_contact")


def _answer(request: web.Request, token: str, contact: Contact, now_ms: int) -> web.Response:
    language = first_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), _WORDS)
    words = _WORDS[language]
    if may_agree(contact, now_ms):
        title, what = words.ask, words.what
        foot = (
            f'<p class="muted">{escape(words.nothing)}</p>'
            + _button(token, "yes", words.yes, primary=True)
            + _button(token, "no", words.no)
        )
    elif contact.refused_at_ms is not None:
        title, what, foot = words.refused, words.refused_what, ""
    elif contact.replaced_at_ms is None and state_of(contact, now_ms) == "agreed":
        title, what, foot = words.agreed, words.agreed_what, _button(token, "no", words.withdraw)
    else:
        title, what, foot = words.over, words.over_what, _button(token, "no", words.never)
    body = f"<p>{escape(what.format(who=contact.athlete))}</p>"
    return card_page(language, title, body + foot, page="contact")


def _button(token: str, answer: str, label: str, *, primary: bool = False) -> str:
    kind = "button button-primary button-wide" if primary else "button button-wide"
    return (
        f'<form method="post" action="{PATH}?token={quote(token)}&amp;answer={answer}">'
        f'<button class="{kind}" type="submit">{escape(label)}</button></form>'
    )
