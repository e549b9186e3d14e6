"""gunicorn for several gateways on one port: `gunicorn -c deploy/gunicorn.conf.py paceline.gunicorn_app:application`.

Everything about Paceline comes from its own settings (deploy/paceline.env.example), WEB_CONCURRENCY says how many workers. What
stands here is what gunicorn must not do. docs/howto/run-several-nodes.md says when to use it.
"""

import os
from pathlib import Path

from aiohttp.web_log import AccessLogger

from paceline.gunicorn_app import graceful_timeout_s, on_starting, pre_fork, settings_or_exit

__all__ = ["on_starting", "pre_fork"]

_settings = settings_or_exit(os.environ)

workers = int(os.environ.get("WEB_CONCURRENCY") or 2)

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
backlog = 1_024
worker_class = "paceline.gunicorn_app.GatewayWorker"
proc_name = "paceline"

# A worker that stops needs its time: killed earlier, it would drop its sockets without a word.
graceful_timeout = graceful_timeout_s(_settings)
# A loop that has not turned for so long will not turn again.
timeout = 30
# It counts requests, and recycling a worker drops every socket it has.
max_requests = 0

# Each worker makes its own node. New code is not what it is for: this file has imported all of it into the master, and workers are
# copies of that (a reload renews workers, new code needs a new start).
preload_app = False
# The heartbeat is a file: in memory, where a slow disk cannot make a worker look dead.
_memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes a private, unlinked file in it
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
# It would write beside the home folder, which in a container is read-only.
control_socket_disable = True

# Paceline writes an access log of its own. Whoever sets accesslog all the same gets aiohttp's form: gunicorn's is refused.
accesslog = None
access_log_format = AccessLogger.LOG_FORMAT
