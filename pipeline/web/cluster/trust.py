"""What workers authenticate each other with: the shared secret, the proofs, TLS."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.web.access.tokens import random_secret
from pipeline.web.cluster.proofs import Proofs
from pipeline.web.http.tls import Tls, tls_of

if TYPE_CHECKING:
    from yarl import URL

    from pipeline.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Trust:
    """The credentials of a worker.

    Attributes:
        secret: signs people's tokens; None: nobody can sign in.
        proofs: between workers; None without a secret.
        tls: None for plain HTTP.
    """

    secret: str | None
    proofs: Proofs | None
    tls: Tls | None

    def sign(self, origin: URL) -> URL:
        """Our address for the other workers, with its proof if there is a secret."""
        return origin if self.proofs is None else self.proofs.signed_address(origin)


def trust_of(settings: Settings) -> Trust:
    """The trust that the settings set up.

    Raises:
        UsageError: the files of TLS cannot be used.
    """
    secret = _secret(settings)
    proofs = None if secret is None else Proofs(secret, settings.app_id, started=time.time())
    return Trust(secret, proofs, tls_of(settings))


def _secret(settings: Settings) -> str | None:
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value()
    if settings.demo:
        # The secret of this process alone. Several workers of one demo need a common secret from the settings.
        return random_secret()
    return None
