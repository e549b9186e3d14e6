"""Notifications in words, for their owner."""

import msgspec
import pytest

from services.notifications.inbox import view_of
from services.notifications.ports import Reader
from services.notifications.rendering import Words
from services.notifications.topics import TOPICS
from services.notifications.wording import TEMPLATES, Template, example, leads_to

WORDS = Words()
JO = Reader("Jo", "en", "UTC")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_view_has_the_words_of_the_inbox_and_leads_to_its_page(template: Template) -> None:
    notification = example(template)
    view = view_of(notification, WORDS, JO)
    short = WORDS.inbox(notification, JO)
    assert (view.title, view.body) == (short.title, short.body)
    assert view.path == leads_to(notification.content)
    assert view.read_at_ms is None


def test_one_whose_template_is_gone_says_what_it_is_about_and_leaves_the_others_alone() -> None:
    gone = msgspec.structs.replace(example(TEMPLATES[1]), version=99)
    view = view_of(gone, WORDS, Reader("Jo", "de", "UTC"))
    assert view.title == "Die Auswertung deines Trainings ist fertig"
    assert view.body == ""
    assert view.path.startswith("/athlete#workout=")


def test_one_of_a_topic_that_is_gone_too_says_its_name() -> None:
    gone = msgspec.structs.replace(example(TEMPLATES[1]), version=99, topic="class.cancelled")
    assert "class.cancelled" not in TOPICS
    assert view_of(gone, WORDS, JO).title == "class.cancelled"
