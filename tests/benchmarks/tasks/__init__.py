"""The task path beside its peers: the same work on the same servers in one run.

A producer inserts a row and enqueues a task for it; a worker inserts another row and acknowledges. Paceline on RabbitMQ stands
beside Celery on the same RabbitMQ, Paceline on Postgres beside procrastinate on the same Postgres.

    peers/         the programs: each is a producer or a worker, paceline.py from this environment, the others from one of their own
    requirements.* what that environment holds
    build.py       makes it; servers.py the servers that all share; turns.py one turn of one peer
    results.py     what was measured, docs/performance/tasks.json; render.py its page

    python -m tests.benchmarks.tasks --quick
"""
