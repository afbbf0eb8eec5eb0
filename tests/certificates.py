"""Certificates for tests of TLS, made with the `openssl` command."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificates(NamedTuple):
    """PEM files of an authority and of a worker on 127.0.0.1."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def variables(self) -> dict[str, str]:
        """The worker's settings."""
        return {
            "OTT_WEB_TLS_CERT": str(self.certificate),
            "OTT_WEB_TLS_KEY": str(self.key),
            "OTT_WEB_TLS_CA": str(self.authority),
        }


def make_certificates(directory: Path) -> Certificates:
    """A new authority, and a certificate that it has signed."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates(directory / "ca.pem", directory / "worker.pem", directory / "worker.key")
    _request(made.authority, directory / "ca.key", "/CN=authority of the tests")
    _request(
        made.certificate,
        made.key,
        "/CN=worker",
        *("-CA", made.authority, "-CAkey", directory / "ca.key"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return made


def _request(certificate: Path, key: Path, subject: str, *more: object) -> None:
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)
    command = (
        "openssl",
        "req",
        "-x509",
        *new_key,
        "-out",
        certificate,
        "-days",
        "2",
        "-subj",
        subject,
        *more,
    )
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
