"""What an entry of the audit may say (ASVS 16.2.5: no secrets and no personal data in logs)."""

import pytest

from services.audit.entry import ACTS, MAX_TEXT, Entry, actor_of, command, cut, network_of, operator
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, LoginId, Uuid7Ids


def test_an_act_that_is_not_in_the_table_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="add a row to ACTS"):
        Entry(operator(None), "account.adored")


def test_data_that_the_row_does_not_name_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="carries no bpm"):
        Entry(operator(None), "heart_rate.watched", data={"bpm": 180})


def test_every_act_says_what_it_means_and_is_of_a_noun() -> None:
    for act, row in ACTS.items():
        noun, _, verb = act.partition(".")
        assert noun, act
        assert verb, act
        assert row.means, act


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:aa:bb::1", "2001:db8:aa::/48"),
        ("not an address", ""),
        (None, ""),
    ],
)
def test_of_an_address_the_network_is_kept(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_who_acts_is_named_by_account_and_login_and_nothing_else() -> None:
    ids = Uuid7Ids(ManualClock())
    caller = Caller(AccountId(ids.next()), LoginId(ids.next()), "Ada Lovelace", frozenset({"coach"}), 0)
    actor = actor_of(caller, "203.0.113.77")
    assert (actor.kind, actor.account, actor.login, actor.name) == ("account", caller.account_id, caller.login_id, "")
    assert command("root").name == "root"


def test_a_reason_has_one_line_and_nothing_that_a_terminal_obeys() -> None:
    """ASVS 16.4.1: injection into logs."""
    assert cut("fine\r\nINFO forged \x1b[31m\u202e") == "fine  INFO forged  [31m "
    assert len(cut("x" * 10_000)) == MAX_TEXT
