"""The development CA, and how another takes its place without anybody noticing.

A new CA is trusted before it signs anything: it is announced for a while, in the bundle that every process
trusts, then takes over. The old one stays in the bundle until it expires, or until it is retired.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from services.local.state import private

LIFETIME = datetime.timedelta(days=365)
ANNOUNCED = datetime.timedelta(hours=1)
"""How long a new CA is trusted before it signs: far longer than any process takes to read its files again."""
SKEW = datetime.timedelta(minutes=5)
"""How far a reader's clock may be behind ours."""
CURRENT, NEXT, PREVIOUS = "ca", "next", "previous"


@dataclass(frozen=True)
class Authority:
    """A CA: the only holder of the key that makes a process one of the mesh."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def signed(self, certificate: x509.Certificate) -> bool:
        """Whether this CA made it."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def ensure(folder: Path, now: datetime.datetime) -> Authority:
    """The CA that signs now: made if there is none, and succeeded when less than a third of its life is left."""
    current = load(folder, CURRENT)
    if current is None or current.certificate.not_valid_after_utc <= now:
        return save(folder, CURRENT, make(now))
    if fresh(current.certificate, now):
        return current
    successor = load(folder, NEXT) or announce(folder, now)
    if now - successor.certificate.not_valid_before_utc < ANNOUNCED + SKEW:
        return current
    return succeed(folder)


def announce(folder: Path, now: datetime.datetime) -> Authority:
    """Makes the next CA, to be trusted from now on."""
    return save(folder, NEXT, make(now))


def succeed(folder: Path) -> Authority:
    """Lets the next CA sign from now on.

    Raises:
        LookupError: there is none.
    """
    current, successor = load(folder, CURRENT), load(folder, NEXT)
    if successor is None:
        raise LookupError("no CA has been announced")
    if current is not None:
        private(folder / f"{PREVIOUS}.crt", pem(current.certificate))
    save(folder, CURRENT, successor)
    (folder / f"{NEXT}.key").unlink()
    (folder / f"{NEXT}.crt").unlink()
    return successor


def retire(folder: Path) -> None:
    """Trusts the previous CA no longer: after its key was seen by others."""
    (folder / f"{PREVIOUS}.crt").unlink(missing_ok=True)


def bundle(folder: Path, now: datetime.datetime) -> bytes:
    """Every CA that is to be trusted now, as PEM; the one that signs comes first."""
    found = (read(folder / f"{name}.crt") for name in (CURRENT, NEXT, PREVIOUS))
    return b"".join(pem(each) for each in found if each is not None and each.not_valid_after_utc > now)


def load(folder: Path, name: str) -> Authority | None:
    """A CA as it was saved; None if it is not there, or not whole."""
    certificate = read(folder / f"{name}.crt")
    try:
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if certificate is None or not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return Authority(key, certificate) if key.public_key() == certificate.public_key() else None


def save(folder: Path, name: str, authority: Authority) -> Authority:
    """Keeps a CA."""
    private(folder / f"{name}.key", key_pem(authority.key))
    private(folder / f"{name}.crt", pem(authority.certificate))
    return authority


def make(
    now: datetime.datetime, *, name: str = "VoiceMesh development CA", life: datetime.timedelta = LIFETIME
) -> Authority:
    """A new CA, good for certificates of processes only."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial is part of the name: with one name for two CAs, a verifier may pick the wrong one.
    serial = x509.random_serial_number()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "VoiceMesh"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, f"{serial:x}"[:16]),
        ]
    )
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), serial, now - SKEW, now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def usage(*, authority: bool) -> x509.KeyUsage:
    """What a key is for: a CA's signs certificates, any other what its process says (RFC 5280, section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def read(path: Path) -> x509.Certificate | None:
    """The first certificate in a file, None if it has none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def fresh(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    """Whether a third of its life or more is left."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins <= now and (ends - now) * 3 >= ends - begins


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as it is written to a file."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A key as it is written to a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
