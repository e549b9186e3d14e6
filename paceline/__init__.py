"""Commands and wiring: the only package that knows all the others, known by none of them."""

from paceline.compiled import use

use()
