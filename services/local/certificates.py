"""A certificate for each process of the mesh, by the development CA.

A certificate names its process and nothing else: with localhost in it, each could pose as any other. It is
short-lived, so that one that was stolen is soon worth nothing, and renewed when a third of its life is left.
The layout is that of a Kubernetes TLS secret: `<folder>/<process>/{tls.crt,tls.key,ca.crt}`.
"""

import datetime
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

from services.local import authority
from services.local.authority import SKEW, Authority, fresh, key_pem, pem, read, usage
from services.local.state import private

PROCESSES = ("auth", "user", "storage", "voice", "gateway", "worker", "envoy")
DOMAIN = "voicemesh.internal"
TRUST = "spiffe://voicemesh"
LIFETIME = datetime.timedelta(hours=24)


def ensure(
    folder: Path,
    processes: Iterable[str] = PROCESSES,
    *,
    now: datetime.datetime | None = None,
    anew: bool = False,
) -> dict[str, Path]:
    """The folder of each process's certificate, made or renewed where less than a third of its life is left.

    `anew` renews them all, whatever is left.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with FileLock(folder / "lock", mode=0o600):
        signer = authority.ensure(folder, now)
        trusted = authority.bundle(folder, now)
        return {process: _ensure(folder / process, process, signer, trusted, now, anew) for process in processes}


def _ensure(folder: Path, process: str, signer: Authority, trusted: bytes, now: datetime.datetime, anew: bool) -> Path:
    """The certificate of one process, kept while it is fresh and of this CA."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    current = read(folder / "tls.crt")
    kept = current and fresh(current, now) and signer.signed(current) and belongs(folder / "tls.key", current)
    # The key last: a reader that finds the pair torn reads again, and a crash here makes the next run renew both.
    _replace(folder / "ca.crt", trusted)
    if anew or not kept:
        key = ec.generate_private_key(ec.SECP256R1())
        private(folder / "tls.crt", pem(make(process, key, signer, now)))
        private(folder / "tls.key", key_pem(key))
    return folder


def make(process: str, key: ec.EllipticCurvePrivateKey, signer: Authority, now: datetime.datetime) -> x509.Certificate:
    """A new certificate of a process."""
    names = [x509.UniformResourceIdentifier(f"{TRUST}/{process}"), x509.DNSName(f"{process}.{DOMAIN}")]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, process)])
    issuer = signer.certificate
    public = signer.key.public_key()
    return (
        x509.CertificateBuilder(
            issuer.subject, subject, key.public_key(), x509.random_serial_number(), now - SKEW, now + LIFETIME
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(signer.key, hashes.SHA256())
    )


def belongs(key: Path, certificate: x509.Certificate) -> bool:
    """Whether the file holds the certificate's own key."""
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return loaded.public_key() == certificate.public_key()


def _replace(path: Path, content: bytes) -> None:
    """Writes a file unless that is what it holds, since whoever watches it would read all anew."""
    if not path.exists() or path.read_bytes() != content:
        private(path, content)
