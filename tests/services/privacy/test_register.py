"""The register of what is kept about people holds together, by itself."""

import pytest

from services.privacy.entry import ABOUT_SOMEBODY, Blanked, Deleted, Entry, Kept, by, entry
from services.privacy.register import ENTRIES, REGISTER

TABLES = [pytest.param(row, id=row.table) for row in REGISTER]


def test_every_table_is_in_it_once() -> None:
    assert len(ENTRIES) == len(REGISTER)


def test_a_column_has_one_kind() -> None:
    with pytest.raises(ValueError, match=r"dogs\.name is in the register twice"):
        entry("dogs", by("owner"), account="owner", personal="name", health="name")


@pytest.mark.parametrize("row", TABLES)
def test_what_is_about_somebody_leads_to_them(row: Entry) -> None:
    """ASVS 14.1.1: sensitive data is identified and classified."""
    assert row.subjects or not row.of(*ABOUT_SOMEBODY), f"{row.table}: say by which column it leads to the account"
    for subject in row.subjects:
        assert set(subject.lead.columns) <= set(row.columns)
        assert subject.hides <= set(row.columns)
        if subject.lead.table:
            parent = ENTRIES[subject.lead.table]
            assert parent.subjects
            assert set(subject.lead.keys) <= set(parent.columns)
        else:
            assert row.columns[subject.lead.columns[0]] == "account"


@pytest.mark.parametrize("row", TABLES)
def test_an_account_in_a_row_is_a_subject_of_it(row: Entry) -> None:
    assert set(row.of("account")) == {subject.lead.columns[0] for subject in row.subjects if not subject.lead.table}


@pytest.mark.parametrize("row", TABLES)
def test_no_health_and_no_secret_outlives_its_person(row: Entry) -> None:
    """ASVS 14.2.7: what is about the body, and what opens something, is deleted or blanked."""
    for subject in row.subjects:
        match subject.erasure:
            case Deleted():
                pass
            case Blanked(blanks=blanks, because=because):
                assert set(row.of("health", "secret")) <= set(blanks) <= set(row.columns)
                assert because
            case Kept(because=because):
                assert not row.of("health", "secret")
                assert because
