"""Celery: `python celery_peer.py producer|worker`, with DATABASE_URL and AMQP_URL, in the peers' own environment.

Set up as its documentation has it for tasks that must not get lost: a quorum queue, late acknowledgement, publisher confirms, no
result backend. What it lacks is the transaction around row and task; the usual stand-in is made here: commit, then `delay()`. A
process that dies between the two has a row without a task.
"""

import os
import sys
import threading
import time

import psycopg  # type: ignore[import-not-found]
from celery import Celery  # type: ignore[import-not-found]
from celery.signals import worker_ready  # type: ignore[import-not-found]
from kombu import Queue  # type: ignore[import-not-found]
from orders import DONE_SQL, ORDER_SQL, answer_all_in_threads, say  # type: ignore[import-not-found]

app = Celery("bench", broker=os.environ["AMQP_URL"], backend=None)
app.conf.update(
    task_queues=[Queue("celery-bench", durable=True, queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="celery-bench",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)
_mine = threading.local()


def connection() -> psycopg.Connection:
    """This thread's or process's connection."""
    if getattr(_mine, "pid", None) != os.getpid():
        _mine.pid, _mine.connection = os.getpid(), psycopg.connect(os.environ["DATABASE_URL"])
    return _mine.connection


def do(n: int) -> None:
    """The task."""
    started_ns = time.monotonic_ns()
    with connection().transaction():
        connection().execute(DONE_SQL.format("%s", "%s"), (n, started_ns))


task = app.task(name="bench.do")(do)


def one(n: int) -> int:
    """An order: commit, then enqueue."""
    with connection().transaction():
        connection().execute(ORDER_SQL.format("%s"), (n,))
    committed_ns = time.monotonic_ns()
    task.delay(n)
    return committed_ns


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        worker_ready.connect(lambda **_: say("ready"), weak=False)
        app.worker_main(["worker", "--concurrency", os.environ["BENCH_HANDS"], "--loglevel", "WARNING"])
    else:
        answer_all_in_threads(one)
