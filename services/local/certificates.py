"""The development CA, and a certificate for each process of the mesh.

A certificate names its process and nothing else: with localhost in it, each could pose as any other.
The layout is that of a Kubernetes TLS secret: `<folder>/<process>/{tls.crt,tls.key,ca.crt}`.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

from services.local.state import private

PROCESSES = ("auth", "user", "storage", "voice", "gateway", "worker", "envoy")
DOMAIN = "voicemesh.internal"
TRUST = "spiffe://voicemesh"
LIFETIME = datetime.timedelta(days=30)
AUTHORITY_LIFETIME = datetime.timedelta(days=365)
SKEW = datetime.timedelta(minutes=5)
"""How far a reader's clock may be behind ours."""


@dataclass(frozen=True)
class Authority:
    """The CA: the only holder of the key that makes a process one of the mesh."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def ensure(
    folder: Path, processes: Iterable[str] = PROCESSES, *, now: datetime.datetime | None = None
) -> dict[str, Path]:
    """The folder of each process's certificate, made or renewed where less than a third of its life is left."""
    now = now or datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with FileLock(folder / "lock", mode=0o600):
        authority = ensure_authority(folder, now)
        return {process: ensure_process(folder / process, process, authority, now) for process in processes}


def ensure_authority(folder: Path, now: datetime.datetime) -> Authority:
    """The CA of `folder`; a new one makes every certificate of the old one be made anew."""
    key_path, certificate_path = folder / "ca.key", folder / "ca.crt"
    certificate = read(certificate_path)
    if key_path.exists() and certificate and fresh(certificate, now):
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key():
            return Authority(key, certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial is part of the name: with one name for two CAs, a verifier may pick the wrong one.
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "VoiceMesh development CA"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"[:16]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial, now - SKEW, now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private(key_path, key_pem(key))
    private(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate)


def ensure_process(folder: Path, process: str, authority: Authority, now: datetime.datetime) -> Path:
    """The certificate of one process, kept while it is fresh and of this CA."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    current = read(folder / "tls.crt")
    if current and fresh(current, now) and signed(current, authority) and belongs(folder / "tls.key", current):
        private(folder / "ca.crt", authority.certificate.public_bytes(serialization.Encoding.PEM))
        return folder
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.UniformResourceIdentifier(f"{TRUST}/{process}"), x509.DNSName(f"{process}.{DOMAIN}")]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, process)])
    issuer = authority.certificate
    public = authority.key.public_key()
    certificate = (
        x509.CertificateBuilder(
            issuer.subject, subject, key.public_key(), x509.random_serial_number(), now - SKEW, now + LIFETIME
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    # The key last: a reader that finds the pair torn reads again, and a crash here makes the next run renew both.
    private(folder / "ca.crt", issuer.public_bytes(serialization.Encoding.PEM))
    private(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))
    private(folder / "tls.key", key_pem(key))
    return folder


def read(path: Path) -> x509.Certificate | None:
    """The certificate in a file, None if it has none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def fresh(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    """Whether a third of its life or more is left."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins <= now and (ends - now) * 3 >= ends - begins


def signed(certificate: x509.Certificate, authority: Authority) -> bool:
    """Whether this CA made it."""
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def belongs(key: Path, certificate: x509.Certificate) -> bool:
    """Whether the file holds the certificate's own key."""
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    return loaded.public_key() == certificate.public_key()


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as it is written to a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
