"""`python -m tests.matrix`: write docs/systems/access.md anew."""

import sys

from tests.matrix.page import FILE, page

FILE.write_text(page(), encoding="utf-8")
sys.stdout.write("docs/systems/access.md\n")
