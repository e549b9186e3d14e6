"""An authenticator of software: makes passkeys and shows them, as a phone would, with fido2's types and keys of ES256.

What it does wrong is asked for: a counter that goes back, another origin, a user who was not verified.
"""

import os
from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import sha256, websafe_decode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from services.accounts.passkey import CreationOptions, MadePasskey, RequestOptions, ShownPasskey, base64url

FLAG = AuthenticatorData.FLAG


@dataclass
class Authenticator:
    """One device with one passkey. `counts`: whether it has a counter; `verifies`: whether it has made sure of its user."""

    origin: str = "https://paceline.example.org"
    counts: bool = True
    verifies: bool = True
    framed: bool = False
    counter: int = 0
    user: bytes = b""
    id: bytes = field(default_factory=lambda: os.urandom(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: CreationOptions) -> MadePasskey:
        """A passkey for whom the options say."""
        self.user = websafe_decode(options.user.id)
        public: ES256 = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        credential = AttestedCredentialData.create(bytes(16), self.id, public)
        said = self._said(options.rp.id, FLAG.AT, credential)
        client = self._client(CollectedClientData.TYPE.CREATE, options.challenge)
        return MadePasskey(base64url(client), base64url(AttestationObject.create("none", said, {})))

    def show(self, options: RequestOptions) -> ShownPasskey:
        """The passkey, for this challenge."""
        said, client = self._said(options.rp_id), self._client(CollectedClientData.TYPE.GET, options.challenge)
        signature = self.key.sign(bytes(said) + sha256(client), ec.ECDSA(hashes.SHA256()))
        return ShownPasskey(
            base64url(self.id), base64url(client), base64url(said), base64url(signature), base64url(self.user)
        )

    def copied(self) -> "Authenticator":
        """Another one with the same key, and the counter as it is now."""
        return replace(self)

    def _said(self, domain: str, flags: int = 0, credential: bytes = b"") -> AuthenticatorData:
        self.counter += self.counts
        flags |= FLAG.UP | (FLAG.UV if self.verifies else 0)
        said: AuthenticatorData = AuthenticatorData.create(
            sha256(domain.encode()), FLAG(flags), self.counter, credential
        )
        return said

    def _client(self, kind: str, challenge: str) -> CollectedClientData:
        return CollectedClientData.create(kind, challenge, self.origin, self.framed)
