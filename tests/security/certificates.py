"""Certificates that the mesh's own authority never makes, signed with its key."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.local import authority as authorities

DAY = datetime.timedelta(days=1)


def signed(
    authority: Path,
    into: Path,
    names: Sequence[x509.GeneralName],
    *,
    begins: datetime.timedelta = -DAY,
    ends: datetime.timedelta = DAY,
) -> Path:
    """A folder with a certificate of these names by the authority of a mesh, good from and until so long from now."""
    signer = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), password=None)
    issuer = authorities.read(authority / "ca.crt")
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    assert issuer is not None
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer.subject,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "envoy")]),
        key.public_key(),
        x509.random_serial_number(),
        now + begins,
        now + ends,
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    into.mkdir(parents=True)
    (into / "tls.crt").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (into / "tls.key").write_bytes(authorities.key_pem(key))
    (into / "ca.crt").write_bytes((authority / "ca.crt").read_bytes())
    return into
