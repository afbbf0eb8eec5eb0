"""TLS of the web server, for clients and between workers."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """The two sides of TLS.

    Attributes:
        server: the certificate and key of our web server.
        client: checks the certificates of the other workers.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext


def tls_of(settings: Settings) -> Tls | None:
    """TLS as the settings want it; None for plain HTTP.

    Raises:
        UsageError: a file cannot be read, or certificate and key do not belong together.
    """
    certificate, key, authority = settings.web_tls_cert, settings.web_tls_key, settings.web_tls_ca
    if certificate is None or key is None:
        return None
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without this argument OpenSSL would ask for a password at the terminal. An empty password fails instead.
        server.load_cert_chain(certificate, key, "")
    except (OSError, ValueError) as error:  # ssl.SSLError is one
        raise UsageError(
            f"web_tls_cert {certificate} with web_tls_key {key} cannot be used: {_reason(error)}; "
            "give a certificate chain and its private key without a password, both in PEM"
        ) from None
    try:
        client = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise UsageError(
            f"web_tls_ca {authority} cannot be used: {_reason(error)}; "
            "give the certificates in PEM that sign those of the workers"
        ) from None
    return Tls(server, client)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
