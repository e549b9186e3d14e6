"""The generated part of docs/reference: the two documents and the table of problems.

`python -m gateway.http.reference` writes the files; a test makes them again and compares, so they cannot fall behind.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.http import asyncapi, openapi
from services.kernel.problems import all_problems

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"


@dataclass(frozen=True)
class ProblemRow:
    """One line of the table of problems."""

    code: str
    status: int
    retry: bool
    meaning: str


def problem_rows() -> list[ProblemRow]:
    """Every problem of the program, in the order of its table. Subclasses that tests make are not part of it."""
    return [
        ProblemRow(kind.code, kind.status, kind.retry, " ".join((kind.__doc__ or "").split()))
        for kind in all_problems()
        if kind.__module__ == "services.kernel.problems"
    ]


def problems_page() -> str:
    """The table as Markdown."""
    rows = "\n".join(
        f"| `{row.code}` | {row.status} | {'yes' if row.retry else 'no'} | {row.meaning} |" for row in problem_rows()
    )
    return (
        "# Problems\n\n"
        'Everything that can be answered with "no". Over HTTP a problem is the body of the answer\n'
        '(`application/problem+json`, RFC 9457), on the socket it is the acknowledgement `{"problem": {…}}`.\n'
        "*Retry* says whether the same request may succeed later; `retry_after_ms` then says when.\n\n"
        "Made by `python -m gateway.http.reference` from `services/kernel/problems.py`; do not edit.\n\n"
        "| code | HTTP | retry | meaning |\n|---|---|---|---|\n"
        f"{rows}\n"
    )


def files() -> dict[str, str]:
    """Each generated file's name and text."""
    return {
        "openapi.json": openapi.text(openapi.document()),
        "asyncapi.json": openapi.text(asyncapi.document()),
        "problems.md": problems_page(),
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
