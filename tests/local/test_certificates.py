"""Certificates name one process each, are kept while fresh, and are renewed in time."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.local import authority, certificates
from services.mesh.credentials import stamp

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


def trusted(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / "ca.crt").read_bytes())


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


def test_a_certificate_is_short_lived(tmp_path: Path) -> None:
    certificate = load(certificates.ensure(tmp_path, now=NOW)["auth"] / "tls.crt")

    assert certificate.not_valid_after_utc - NOW == DAY


def test_a_fresh_certificate_is_kept_and_its_files_are_left_alone(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    first, written = (folder / "tls.crt").read_bytes(), stamp(folder)
    certificates.ensure(tmp_path, now=NOW + 15 * HOUR)

    assert (folder / "tls.crt").read_bytes() == first
    assert stamp(folder) == written


def test_a_certificate_with_less_than_a_third_left_is_renewed_by_the_same_ca(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    first, authority = (folder / "tls.crt").read_bytes(), (folder / "ca.crt").read_bytes()
    certificates.ensure(tmp_path, now=NOW + 17 * HOUR)

    assert (folder / "tls.crt").read_bytes() != first
    assert (folder / "ca.crt").read_bytes() == authority


def test_all_are_renewed_when_asked(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    first = (folder / "tls.crt").read_bytes()
    certificates.ensure(tmp_path, now=NOW, anew=True)

    assert (folder / "tls.crt").read_bytes() != first
    assert certificates.belongs(folder / "tls.key", load(folder / "tls.crt"))


def test_a_new_ca_is_trusted_before_it_signs_and_the_old_one_for_as_long_as_it_lives(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    old = load(folder / "ca.crt")

    certificates.ensure(tmp_path, now=NOW + 300 * DAY)
    announced = trusted(folder)
    load(folder / "tls.crt").verify_directly_issued_by(old)
    certificates.ensure(tmp_path, now=NOW + 300 * DAY + 2 * HOUR)
    taken_over = trusted(folder)
    load(folder / "tls.crt").verify_directly_issued_by(taken_over[0])
    certificates.ensure(tmp_path, now=NOW + 366 * DAY)

    assert announced[0] == old
    assert len(announced) == 2
    assert taken_over == announced[::-1]
    assert trusted(folder) == taken_over[:1]


def test_a_retired_ca_is_trusted_no_longer(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    old = load(folder / "ca.crt")
    authority.announce(tmp_path, NOW)
    authority.succeed(tmp_path)
    certificates.ensure(tmp_path, now=NOW)
    authority.retire(tmp_path)
    certificates.ensure(tmp_path, now=NOW)

    assert old not in trusted(folder)
    load(folder / "tls.crt").verify_directly_issued_by(load(folder / "ca.crt"))


def test_an_expired_ca_is_replaced_at_once(tmp_path: Path) -> None:
    folder = certificates.ensure(tmp_path, now=NOW)["auth"]
    old = load(folder / "ca.crt")
    certificates.ensure(tmp_path, now=NOW + 400 * DAY)

    assert old not in trusted(folder)
    load(folder / "tls.crt").verify_directly_issued_by(load(folder / "ca.crt"))


def test_a_torn_pair_is_renewed(tmp_path: Path) -> None:
    folders = certificates.ensure(tmp_path, now=NOW)
    (folders["auth"] / "tls.key").write_bytes((folders["user"] / "tls.key").read_bytes())
    certificates.ensure(tmp_path, now=NOW)

    assert certificates.belongs(folders["auth"] / "tls.key", load(folders["auth"] / "tls.crt"))
