"""The certificate authority that all providers for tests share."""

import atexit
import functools
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support import certificates


class Authority:
    """Vouches for servers on localhost. `file`: its own certificate (PEM), for SSL_CERT_FILE of another process."""

    def __init__(self, folder: Path) -> None:
        self._authority: Final = certificates.Authority(folder)
        self.file: Final = folder / "authority.pem"
        (own,) = self.client().get_ca_certs(binary_form=True)
        self.file.write_text(ssl.DER_cert_to_PEM_cert(own))

    def server(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """For a server on localhost that speaks these protocols."""
        context = self._authority.serving("localhost")
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def client(self) -> ssl.SSLContext:
        """For a client that believes this authority and no other."""
        return self._authority.trusting()


@functools.cache
def authority() -> Authority:
    """One for the whole process."""
    folder = tempfile.mkdtemp(prefix="paceline-authority-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Authority(Path(folder))
