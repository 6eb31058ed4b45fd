"""Certificates name one process each, are kept while fresh, and are renewed in time."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.local import certificates

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_certificate_names_its_process_and_nothing_else(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path)["voice"]

    certificate = load(folder / "tls.crt")
    names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert names == [
        x509.UniformResourceIdentifier("spiffe://voicemesh/voice"),
        x509.DNSName("voice.voicemesh.internal"),
    ]


def test_a_certificate_serves_both_ends_and_cannot_sign(tmp_path: Path) -> None:
    certificate = load(certificates.ensure(tmp_path)["worker"] / "tls.crt")

    extensions = certificate.extensions
    usages = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_every_process_has_one_and_the_ca_made_it(tmp_path: Path) -> None:
    folders = certificates.ensure(tmp_path)

    assert set(folders) == {"auth", "user", "storage", "voice", "gateway", "worker", "envoy"}
    for folder in folders.values():
        load(folder / "tls.crt").verify_directly_issued_by(load(folder / "ca.crt"))


def test_keys_are_private(tmp_path: Path) -> None:
    folders = certificates.ensure(tmp_path)

    files = [tmp_path / "ca.key", *(folder / "tls.key" for folder in folders.values())]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {folder.stat().st_mode & 0o777 for folder in folders.values()} == {0o700}


def test_a_fresh_certificate_is_kept(tmp_path: Path) -> None:
    first = (certificates.ensure(tmp_path, now=NOW)["auth"] / "tls.crt").read_bytes()
    second = (certificates.ensure(tmp_path, now=NOW + 19 * DAY)["auth"] / "tls.crt").read_bytes()

    assert second == first


def test_a_certificate_with_less_than_a_third_left_is_renewed_by_the_same_ca(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    first, authority = (folder / "tls.crt").read_bytes(), (folder / "ca.crt").read_bytes()
    certificates.ensure(tmp_path, now=NOW + 21 * DAY)

    assert (folder / "tls.crt").read_bytes() != first
    assert (folder / "ca.crt").read_bytes() == authority


def test_a_new_ca_renews_everything(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    first = (folder / "ca.crt").read_bytes()
    certificates.ensure(tmp_path, now=NOW + 300 * DAY)

    assert (folder / "ca.crt").read_bytes() != first
    load(folder / "tls.crt").verify_directly_issued_by(load(folder / "ca.crt"))


def test_a_torn_pair_is_renewed(tmp_path: Path) -> None:
    folders = certificates.ensure(tmp_path, now=NOW)
    (folders["auth"] / "tls.key").write_bytes((folders["user"] / "tls.key").read_bytes())
    certificates.ensure(tmp_path, now=NOW)

    assert certificates.belongs(folders["auth"] / "tls.key", load(folders["auth"] / "tls.crt"))
