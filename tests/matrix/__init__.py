"""Who may do what: every event of the socket and every address of HTTP, asked by everybody there is.

`table.py` says for each pair what is to be expected; it is the only file to read, and the page docs/systems/access.md is made of
it. `roles.py` are its columns and the rules that rows share, `scene.py` one evening in which everybody stands where their name
says, `events.py` and `routes.py` valid input for each row, so that a refusal is for access and never for shape.

The rows are held against the catalogues (realtime/wire.py, gateway/http/routes.py): a new event or route without a row fails, and
so does a row without one.

`python -m tests.matrix` writes the page anew.
"""
