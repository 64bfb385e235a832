from pathlib import Path

import pytest

from tests.authority import Authority
from vmagent.errors import Misconfigured
from vmagent.identity import diagnose, trust

ONE, TWO = Authority().root_pem, Authority("other").root_pem


def refused(path: Path) -> Misconfigured:
    with pytest.raises(Misconfigured) as error:
        trust.read(path)
    assert str(path) in str(error.value)
    assert error.value.hint
    return error.value


@pytest.mark.parametrize("pem", [ONE, ONE + TWO, b"# our root\xc3\xa4\n" + ONE, ONE.replace(b"\n", b"\r\n")])
def test_whole_certificates_are_taken_as_they_are(tmp_path: Path, pem: bytes) -> None:
    path = tmp_path / "root-cert.pem"
    path.write_bytes(pem)
    assert trust.read(path) == trust.Roots(pem=pem, path=path)


@pytest.mark.parametrize(
    "pem",
    [
        b"hello",
        ONE[:-40],
        ONE[: len(ONE) // 2],
        ONE + TWO[:100],
        ONE.replace(b"M", b"#", 3),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, pem: bytes) -> None:
    path = tmp_path / "root-cert.pem"
    path.write_bytes(pem)
    assert "is damaged" in str(refused(path))


def test_damage_inside_a_certificate_is_found_when_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "root-cert.pem"
    lines = ONE.splitlines(keepends=True)
    path.write_bytes(b"".join((*lines[:2], lines[2][:10] + b"AAAAAAAAAA" + lines[2][20:], *lines[3:])))
    roots = trust.read(path)
    with pytest.raises(Misconfigured, match="is damaged"):
        diagnose.trusting(roots)


def test_a_key_among_the_roots_is_no_certificate(tmp_path: Path) -> None:
    path = tmp_path / "root-cert.pem"
    path.write_bytes(ONE + ONE.replace(b"CERTIFICATE", b"PRIVATE KEY"))
    assert "is damaged" in str(refused(path))


def test_a_missing_an_empty_and_an_unreadable_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "root-cert.pem"
    assert "does not exist" in str(refused(path))
    path.touch()
    assert "is empty" in str(refused(path))
    assert "cannot be read: is a directory" in str(refused(tmp_path))


def test_the_system_roots_are_found_where_distributions_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca-certificates.crt"
    monkeypatch.setattr(trust, "SYSTEM_BUNDLES", (tmp_path / "absent", bundle))
    with pytest.raises(Misconfigured, match="has none"):
        trust.read(None)
    bundle.write_bytes(ONE)
    assert trust.read(None).path == bundle
