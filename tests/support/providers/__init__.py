"""Providers of mail, push and SMS for tests: real servers on loopback that speak the real protocols, and fail on order.

    async with open_smtp() as server:                    # open_apns, open_fcm, open_push_service, open_sms are the same
        server.faults.next(Fault("hang"), Fault("broken"))   # what the next two messages meet
        server.faults.always = Fault("slow_down", retry_after="7")   # what all others meet, until it is None again
        ...
        assert server.taken[str(message_id)] == 1            # messages that were taken, by our id

Each server listens from `open_…` to the end of the block, in this process and on this loop; whoever sends to it may be another
process. `server.asked` counts messages that arrived, also those that met a fault, `server.connections` the connections they came
over. A server that is given `port` listens there, so one can end and come back.

Faults that all of them know (faults.py says what each looks like in each protocol):

    hang         takes everything and never answers
    hang_up      takes everything and closes the connection
    cut          answers half a sentence and closes the connection
    slow_down    too much: 429, 421 or what the protocol has, with Retry-After where there is one
    broken       an error of its own: 500, 451
    away         503, 421
    dead         nobody lives at this address
    refused      this message will never be taken

TLS: `authority.py` makes a certificate authority; `authority().client()` is a context that believes it. A worker in another
process believes it with SSL_CERT_FILE=authority().file in its environment.
"""

from tests.support.providers.apns_server import ApnsServer, open_apns
from tests.support.providers.authority import Authority, authority
from tests.support.providers.faults import Fault, Faults
from tests.support.providers.fcm_server import FcmServer, open_fcm
from tests.support.providers.push_service import PushService, open_push_service
from tests.support.providers.sms_server import SmsServer, open_sms
from tests.support.providers.smtp_server import SmtpServer, open_smtp

__all__ = [
    "ApnsServer",
    "Authority",
    "Fault",
    "Faults",
    "FcmServer",
    "PushService",
    "SmsServer",
    "SmtpServer",
    "authority",
    "open_apns",
    "open_fcm",
    "open_push_service",
    "open_sms",
    "open_smtp",
]
