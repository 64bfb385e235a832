"""What a secret's name means, and what is said of those that mean nothing here."""

from pathlib import Path

import pytest

from vmagent.identity.certsource import PairFiles, RootFile, Source
from vmagent.sds import names


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "file-cert:/etc/certs/myclientcert.pem~/etc/certs/client_private_key.pem",
            PairFiles(Path("/etc/certs/myclientcert.pem"), Path("/etc/certs/client_private_key.pem")),
        ),
        ("file-root:/etc/certs/rootcacerts.pem", RootFile(Path("/etc/certs/rootcacerts.pem"))),
        ("file-cert:./c.pem~k.pem", PairFiles(Path("/base/c.pem"), Path("/base/k.pem"))),
        ("file-root:c.pem", RootFile(Path("/base/c.pem"))),
        ("file-root:./system", RootFile(Path("/base/system"))),
    ],
)
def test_files_are_named_as_istiod_names_them(name: str, source: Source) -> None:
    assert names.source(name, Path("/base")) == source


def test_the_roots_of_the_system_are_those_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "SYSTEM_BUNDLES", (tmp_path / "one.crt", tmp_path / "two.crt"))
    with pytest.raises(names.Refused, match="install ca-certificates"):
        names.source("file-root:system", tmp_path)
    (tmp_path / "two.crt").touch()
    assert names.source("file-root:system", tmp_path) == RootFile(tmp_path / "two.crt")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file-cert:/c.pem", "write file-cert:CHAIN~KEY, two files with one ~ in between"),
        ("file-cert:/c.pem~/k.pem~/x.pem", "write file-cert:CHAIN~KEY"),
        ("file-cert:~/k.pem", "write file-cert:CHAIN~KEY"),
        ("file-cert:/c.pem~", "write file-cert:CHAIN~KEY"),
        ("file-root:", "write file-root:FILE, or file-root:system"),
        ("file-root:/a.pem~/b.pem", "write file-root:FILE"),
        ("kubernetes://web-credential", "over xDS, to gateways; on a VM name files (clientCertificate, "),
        ("kubernetes://istio-system/web-cacert", "istiod itself serves what is kept in Kubernetes"),
        ("kubernetes-gateway://ns/name", "istiod itself serves what is kept in Kubernetes"),
        ("configmap://ns/name", "istiod itself serves what is kept in Kubernetes"),
        ("sds://mine", "credential-uds/socket was not there when the agent began"),
        ("builtin://", "istiod writes default or ROOTCA for it"),
        ("somebody-elses", "there are default, ROOTCA, file-cert:CHAIN~KEY and file-root:FILE"),
        ("", "there are default, ROOTCA"),
    ],
)
def test_every_other_name_is_refused_with_a_remedy(name: str, says: str) -> None:
    with pytest.raises(names.Refused) as refused:
        names.source(name, Path("/"))
    assert str(refused.value).startswith(f"no secret named {name!r}: ")
    assert says in str(refused.value)


def test_a_name_of_any_length_makes_a_message_of_one_line() -> None:
    with pytest.raises(names.Refused) as refused:
        names.source("x\n" * 10_000, Path("/"))
    assert len(str(refused.value)) < 1000
    assert "\n" not in str(refused.value)
