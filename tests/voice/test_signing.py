"""Manifests and receipts, made and read again with real certificates and real files of every format."""

from __future__ import annotations

import io
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import jwt
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.local import provenance
from services.mesh import errors, names
from services.voice import manifests, receipts
from services.voice.engine.encoders import FORMATS, encode
from services.voice.manifests import State
from services.voice.receipts import NotOurs, Receipt
from services.voice.signing import Credential, Signatory

CARRIERS = ("wav", "mp3", "flac")
ORIGIN = receipts.origin(names.new_id(), "kokoro-v1", "a" * 64)
MADE_AT = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mesh")


@pytest.fixture(scope="module")
def credential(folder: Path) -> Credential:
    return Signatory(provenance.ensure(folder)["worker"]).credential()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Credential:
    return Signatory(provenance.ensure(tmp_path_factory.mktemp("another"))["worker"]).credential()


def spoken(format: str, seconds: float = 2.0) -> bytes:
    """A file of a tone."""
    time = np.arange(int(24000 * seconds))
    return encode([(0.3 * np.sin(time * 0.05)).astype(np.float32)], format, source_rate=24000)


def signed(format: str, credential: Credential) -> bytes:
    """The same with a manifest in it."""
    into = io.BytesIO()
    manifests.embed(io.BytesIO(spoken(format)), into, FORMATS[format].content_type, ORIGIN, MADE_AT, credential)
    return into.getvalue()


def samples(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


@pytest.mark.parametrize("format", CARRIERS)
def test_a_manifest_says_where_the_file_comes_from_and_changes_no_sample(format: str, credential: Credential) -> None:
    content = signed(format, credential)

    found = manifests.find(io.BytesIO(content), credential.anchors)

    assert found == manifests.Manifest(State.INTACT, ORIGIN, MADE_AT)
    assert receipts.SYNTHETIC.encode() in content
    assert np.array_equal(samples(content), samples(spoken(format)))


@pytest.mark.parametrize("format", CARRIERS)
def test_a_bit_of_the_audio_flipped_is_seen_wherever_it_is(format: str, credential: Credential) -> None:
    content = signed(format, credential)
    plain = spoken(format)
    # In the audio, which is the first of a WAV file and the last of the others.
    places = range(100, len(plain) - 500, len(plain) // 7)
    ends = len(plain) if format == "wav" else len(content)

    for place in places:
        changed = bytearray(content)
        changed[place if format == "wav" else ends - place] ^= 1

        found = manifests.find(io.BytesIO(changed), credential.anchors)

        assert found == manifests.Manifest(State.CHANGED, ORIGIN, MADE_AT)


@pytest.mark.parametrize("format", CARRIERS)
def test_nothing_that_a_manifest_says_can_be_changed_unseen(format: str, credential: Credential) -> None:
    content = signed(format, credential)
    at = content.index(ORIGIN.voice.encode()) + len("voices/")
    changed = content[:at] + (b"0" if content[at : at + 1] != b"0" else b"1") + content[at + 1 :]

    found = manifests.find(io.BytesIO(changed), credential.anchors)

    assert found == manifests.Manifest(State.CHANGED, None, None)


@pytest.mark.parametrize("format", CARRIERS)
def test_a_file_of_somebody_else_carries_nothing_of_ours(
    format: str, credential: Credential, stranger: Credential
) -> None:
    plain, theirs = spoken(format), signed(format, stranger)

    assert manifests.find(io.BytesIO(plain), credential.anchors) is None
    assert manifests.find(io.BytesIO(theirs), credential.anchors) is None
    assert manifests.find(io.BytesIO(theirs), stranger.anchors) is not None


@pytest.mark.parametrize("content", [b"", b"RIFF", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"RIFF" + b"c2pa" * 5000])
def test_what_is_no_audio_carries_nothing(content: bytes, credential: Credential) -> None:
    assert manifests.find(io.BytesIO(content), credential.anchors) is None


def test_nothing_that_a_file_points_to_is_fetched(credential: Credential) -> None:
    asked = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Trap) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/manifest"
        import c2pa

        into = io.BytesIO()
        info = c2pa.C2paSignerInfo("ed25519", credential.chain_pem, credential.key_pem, None)
        created = {"action": "c2pa.created", "digitalSourceType": receipts.SYNTHETIC}
        actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
        builder = c2pa.Builder({"claim_generator_info": [{"name": "trap"}], "assertions": [actions]})
        builder.set_no_embed()
        builder.set_remote_url(address)
        builder.sign(c2pa.Signer.from_info(info), "audio/wav", io.BytesIO(spoken("wav")), into)
        assert address.encode() in into.getvalue()

        found = manifests.find(into, credential.anchors)
        with pytest.raises(c2pa.C2paError):
            c2pa.Reader("audio/wav", into)
        server.shutdown()

    assert found is None
    assert asked == ["/manifest"], "the reader as it is out of the box does fetch; ours must not"


def receipt() -> Receipt:
    return Receipt(names.new_id(), "b" * 64, 4800, "audio/ogg", ORIGIN, MADE_AT)


def test_a_receipt_is_read_as_it_was_issued(credential: Credential) -> None:
    issued = receipt()

    assert receipts.read(receipts.issue(issued, credential), credential.anchors) == issued


def test_a_receipt_that_was_changed_or_is_of_somebody_else_is_not_ours(
    credential: Credential, stranger: Credential
) -> None:
    token = receipts.issue(receipt(), credential)
    head, body, signature = token.split(".")
    other = jwt.utils.base64url_encode(jwt.utils.base64url_decode(body).replace(b"b" * 64, b"c" * 64)).decode()
    header = {"typ": receipts.TYPE, "x5c": jwt.get_unverified_header(token)["x5c"]}
    claims = jwt.decode(token, options={"verify_signature": False})
    forged = {
        "changed": f"{head}.{other}.{signature}",
        "unsigned": jwt.encode(claims, None, algorithm="none", headers=header),
        "signed by a stranger": receipts.issue(receipt(), stranger),
        "signed by a stranger, with our certificate": jwt.encode(
            claims, stranger.key, algorithm="EdDSA", headers=header
        ),
        "signed with a secret": jwt.encode(claims, "secret" * 10, algorithm="HS256", headers=header),
        "another kind of token": jwt.encode(claims, credential.key, algorithm="EdDSA", headers={"x5c": header["x5c"]}),
        "no certificate": jwt.encode(claims, credential.key, algorithm="EdDSA", headers={"typ": receipts.TYPE}),
        "signed by the authority's certificate": receipts.issue(
            receipt(), replace(credential, chain=credential.anchors.certificates)
        ),
        "long": "a" * 20_000,
        "empty": "",
    }

    for why, each in forged.items():
        with pytest.raises(NotOurs):
            print(why, receipts.read(each, credential.anchors))


def test_a_receipt_from_a_time_when_its_certificate_was_not_good_is_not_ours(credential: Credential) -> None:
    before = replace(receipt(), made_at=MADE_AT - timedelta(days=1))

    with pytest.raises(NotOurs):
        receipts.read(receipts.issue(before, credential), credential.anchors)


def test_a_renewed_certificate_is_taken_up_and_what_the_last_one_signed_still_verifies(tmp_path: Path) -> None:
    place = provenance.ensure(tmp_path)["worker"]
    signatory = Signatory(place)
    before = signatory.credential()
    token, content = receipts.issue(receipt(), before), signed("mp3", before)

    provenance.ensure(tmp_path, now=datetime.now(UTC) + provenance.LIFETIME * 0.7)
    after = signatory.credential()

    assert after.chain != before.chain
    assert receipts.read(token, after.anchors)
    assert manifests.find(io.BytesIO(content), after.anchors) == manifests.Manifest(State.INTACT, ORIGIN, MADE_AT)


def test_when_the_authority_is_lost_what_it_has_signed_still_verifies(tmp_path: Path) -> None:
    place = provenance.ensure(tmp_path)["worker"]
    before = Signatory(place).credential()
    content = signed("mp3", before)
    (tmp_path / "provenance" / "ca.key").unlink()

    provenance.ensure(tmp_path)
    after = Signatory(place).credential()

    assert len(after.anchors.certificates) == 2
    assert after.chain != before.chain
    assert manifests.find(io.BytesIO(content), after.anchors) is not None
    assert manifests.find(io.BytesIO(signed("mp3", after)), after.anchors) is not None


def test_ones_own_certificates_of_p256_with_an_authority_between_sign_and_are_believed(tmp_path: Path) -> None:
    root, between = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    top = certificate("Root", root.public_key(), "Root", root, authority=True)
    middle = certificate("Between", between.public_key(), "Root", root, authority=True)
    key = ec.generate_private_key(ec.SECP256R1())
    own = certificate("Own", key.public_key(), "Between", between, authority=False)
    pem = serialization.Encoding.PEM
    (tmp_path / "ca.crt").write_bytes(top.public_bytes(pem))
    (tmp_path / "tls.crt").write_bytes(own.public_bytes(pem) + middle.public_bytes(pem))
    (tmp_path / "tls.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

    ours = Signatory(tmp_path).credential()

    assert manifests.find(io.BytesIO(signed("wav", ours)), ours.anchors) == manifests.Manifest(
        State.INTACT, ORIGIN, MADE_AT
    )
    assert receipts.read(receipts.issue(receipt(), ours), ours.anchors)
    with pytest.raises(NotOurs):
        receipts.read(receipts.issue(receipt(), replace(ours, chain=(own,))), ours.anchors)


def certificate(
    who: str, key: ec.EllipticCurvePublicKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    subject, above = (
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, each), x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in (who, issuer)
    )
    now = datetime.now(UTC) - timedelta(minutes=5)
    no = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    usage = x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **dict.fromkeys(no, False)
    )
    builder = (
        x509.CertificateBuilder(above, subject, key, x509.random_serial_number(), now, now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(signer, hashes.SHA256())


@pytest.mark.parametrize("name", ["tls.key", "tls.crt", "ca.crt"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_what_cannot_sign_says_so(tmp_path: Path, name: str, content: bytes | None) -> None:
    place = provenance.ensure(tmp_path)["voice"]
    (place / name).unlink()
    if content is not None:
        (place / name).write_bytes(content)

    with pytest.raises(errors.Unavailable) as raised:
        Signatory(place).credential()

    assert raised.value.reason == "SIGNING_UNAVAILABLE"


def test_a_key_that_is_not_the_certificates_signs_nothing(tmp_path: Path) -> None:
    places = provenance.ensure(tmp_path)
    (places["voice"] / "tls.key").write_bytes((places["worker"] / "tls.key").read_bytes())

    with pytest.raises(errors.Unavailable):
        Signatory(places["voice"]).credential()


def test_signers_have_keys_of_their_own_and_none_has_the_authoritys(tmp_path: Path) -> None:
    places = provenance.ensure(tmp_path)

    keys = {(place / "tls.key").read_bytes() for place in places.values()}
    files = {path.name for place in places.values() for path in place.iterdir()}
    modes = {path.stat().st_mode & 0o777 for place in places.values() for path in place.iterdir()}

    assert len(keys) == len(provenance.SIGNERS)
    assert files == {"tls.crt", "tls.key", "ca.crt"}
    assert modes == {0o600}
