"""Whether the process in this container turns its event loop: 0 when /livez answers, else 1. The image's HEALTHCHECK.

It asks /livez, not /readyz: a gateway that has lost its database must leave the balancer, not be restarted. A process
without the gateway role listens only where PACELINE_METRICS_PORT says; without that, it ends by itself when one of its
loops has died, and that it is there is all there is to know.
"""

import os
import sys
import urllib.request

ANSWER_S = 2.0
"""Less than the image's own limit, so that a late answer is told and not cut off."""
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever HTTP_PROXY says: no proxy reaches this container's own address."""

roles = os.environ.get("PACELINE_ROLES") or "gateway"
port = os.environ.get("PACELINE_PORT") or "8080"
if "gateway" not in roles:
    port = os.environ.get("PACELINE_METRICS_PORT") or "0"
if port == "0":
    sys.exit(0)
try:
    with DIRECTLY.open(f"http://127.0.0.1:{port}/livez", timeout=ANSWER_S) as answer:
        sys.exit(0 if answer.status == 200 else 1)
except OSError as fault:
    sys.exit(f"/livez does not answer: {fault}")
