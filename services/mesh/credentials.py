"""mTLS between all processes: certificates of one mesh, reloaded when their files change.

Each process has a folder with `tls.crt`, `tls.key` and `ca.crt`. A certificate carries the
process's SPIFFE id and the DNS name `<process>.voicemesh.internal`, and nothing else, so that
no process can pass for another.
"""

from __future__ import annotations

from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

_FILES = ("tls.key", "tls.crt", "ca.crt")


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Credentials of a server that demands a certificate of this mesh, and takes renewed files as they come.

    Raises:
        OSError: a file is missing, or the key is of another certificate.
    """
    seen = stamp(folder)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal seen
        try:
            now = stamp(folder)
            if now == seen:
                return None
            configuration = _configuration(folder)
        except OSError:
            return None  # In the middle of being replaced: the next handshake looks again.
        seen = now
        return configuration

    # The stubs do not know that None means "as before".
    return grpc.dynamic_ssl_server_credentials(_configuration(folder), fetch, require_client_authentication=True)  # type: ignore[arg-type]


def channel_credentials(folder: Path) -> grpc.ChannelCredentials:
    """Credentials of a client that trusts this mesh alone.

    Raises:
        OSError: a file is missing, or the key is of another certificate.
    """
    key, certificate, authority = _read(folder)
    return grpc.ssl_channel_credentials(authority, key, certificate)


def _configuration(folder: Path) -> grpc.ServerCertificateConfiguration:
    key, certificate, authority = _read(folder)
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _read(folder: Path) -> tuple[bytes, bytes, bytes]:
    key, certificate, authority = ((folder / name).read_bytes() for name in _FILES)
    if load_pem_private_key(key, None).public_key() != load_pem_x509_certificate(certificate).public_key():
        raise OSError("the key and the certificate are of two pairs")
    return key, certificate, authority


def stamp(folder: Path) -> tuple[int, ...]:
    """Changes when a file of the folder has been replaced.

    Raises:
        OSError: a file is missing.
    """
    return tuple((folder / name).stat().st_mtime_ns for name in _FILES)
