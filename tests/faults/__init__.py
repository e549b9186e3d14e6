"""What happens when things break, measured: a bench with a stand, a swarm, a nemesis and checkers.

A run of a fault has the order that Jepsen gave such tests. People are there and do things (the swarm); something is broken and
mended (the case); all becomes quiet; what is stored is read back; and only then is it judged, by functions that see nothing but
the history of what everybody did and saw. What could not be known, because an answer was lost, stays unknown.

    stand.py       two gateways, a worker, Postgres and Redis, each behind breakable networks (tests/support/proxy.py);
                   process.py one process of it, gateway.py the program with its side door
                   (door.py), balancer.py HAProxy
    swarm.py       devices, members, coaches and clerks, who note what they do and see
    works.py       those who tell facts, to be done later; ledger.py which effects they had, worker.py the program that notes them
    outside.py     everybody whom workers call: providers, receivers of webhooks, strangers; post.py people who are told things
                   that leave for their pockets, and what became of every message
    history.py     every operation as invoke, ok, fail or info, as JSON lines
    checkers.py    what a history proves
    cases/         the faults, by their numbers in the catalogue of faults
    bench.py       one case from beginning to end, and the row it makes
    page.py        the table, docs/performance/faults.json and faults.md

    test_proxy.py  test_checkers.py  test_page.py   that the bench does what it says
    test_cases.py, test_task_cases.py               every fault in its short form, on a stand that session.py keeps
    test_kill.py                                    a whole program killed in the middle of ten workouts

`python -m tests.faults` (`make faults`) runs the full forms and writes the page; `--only F-10 --seed 7` some of them.

Adding a fault: a coroutine that takes a `Bench` and a row in one of `cases/`. It does its damage inside `bench.fault(…)`, which
marks when it began and ended, asks with `bench.must` and `bench.until` what only it can ask, and leaves everything else to the
checkers; `Stand.whole` must be able to undo it. A new invariant: a checker, and first a history made by hand that breaks it.

Times are real here, which the rest of the suite avoids: several processes have no common clock to jump. So every wait has a bound,
and how the machine feels is left out of the verdicts as far as possible.
"""
