"""The certificates with which the mesh signs what it has spoken: an authority of its own, and one for each signer.

They are none of the connections' certificates: what they sign is read for years, by anybody. The layout is
`<folder>/provenance/{ca.key,ca.crt}` for the authority, and that of a Kubernetes TLS secret for each signer:
`<folder>/<process>/provenance/{tls.crt,tls.key,ca.crt}`. A signer never sees the authority's key.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from filelock import FileLock

from services.local.authority import SKEW, Authority, fresh, key_pem, make, pem, read, usage
from services.local.certificates import belongs
from services.local.state import private

SIGNERS = ("voice", "worker")
LIFETIME = datetime.timedelta(days=3650)
"""No time-stamping authority is asked, so that a manifest verifies for as long as its signer's certificate is good."""
AUTHORITY_LIFETIME = datetime.timedelta(days=36500)
CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""C2PA specification 2.2, section 14.5.1; readers of before ask for that of e-mail."""


def ensure(folder: Path, *, now: datetime.datetime | None = None) -> dict[str, Path]:
    """The folder of each signer's certificate, made or renewed where less than a third of its life is left."""
    now = now or datetime.datetime.now(datetime.UTC)
    place = folder / "provenance"
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o700)
    with FileLock(place / "lock", mode=0o600):
        authority = ensure_authority(place, now)
        anchors = (place / "ca.crt").read_bytes()
        return {
            process: ensure_signer(folder / process / "provenance", process, authority, anchors, now)
            for process in SIGNERS
        }


def ensure_authority(place: Path, now: datetime.datetime) -> Authority:
    """The authority of a place. A new one is put before the old, by which earlier files go on to verify."""
    key_path, certificates_path = place / "ca.key", place / "ca.crt"
    newest = read(certificates_path)
    if newest and fresh(newest, now) and belongs(key_path, newest):
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return Authority(key, newest)
    made = make(now, name="VoiceMesh provenance CA", life=AUTHORITY_LIFETIME)
    before = certificates_path.read_bytes() if newest else b""
    # The certificate last, since it is what says that there is an authority: a crash before it makes all anew.
    private(key_path, key_pem(made.key))
    private(certificates_path, pem(made.certificate) + before)
    return made


def ensure_signer(folder: Path, process: str, authority: Authority, anchors: bytes, now: datetime.datetime) -> Path:
    """The certificate of one signer, kept while it is fresh and of this authority; `anchors` are all authorities'."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    current = read(folder / "tls.crt")
    if current and fresh(current, now) and authority.signed(current) and belongs(folder / "tls.key", current):
        private(folder / "ca.crt", anchors)
        return folder
    key = ed25519.Ed25519PrivateKey.generate()
    issuer = authority.certificate
    certificate = (
        x509.CertificateBuilder(
            issuer.subject,
            _name(process),
            key.public_key(),
            x509.random_serial_number(),
            now - SKEW,
            now + LIFETIME,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, CLAIM_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    private(folder / "ca.crt", anchors)
    private(folder / "tls.crt", pem(certificate))
    private(folder / "tls.key", key_pem(key))
    return folder


def _name(process: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "VoiceMesh"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"VoiceMesh {process}"),
        ]
    )
