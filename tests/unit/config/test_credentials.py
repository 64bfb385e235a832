"""Which files are looked at, in Istio's order, and which settings exclude one another."""

from pathlib import Path

import pytest

from vmagent.config.model import MountedFiles, PairFiles

from . import vm

USUAL = "/etc/certs/root-cert.pem"
LAST = "/var/run/secrets/istio/root-cert.pem"
WORKLOAD = Path("/var/run/secrets/workload-spiffe-credentials")
MOUNTED = tuple(WORKLOAD / name for name in ("cert-chain.pem", "key.pem", "root-cert.pem"))


@pytest.mark.parametrize(
    ("more", "absent", "xds", "ca"),
    [
        ("", (), USUAL, USUAL),
        ("PROV_CERT=/run/prov\n", (), USUAL, "/run/prov/root-cert.pem"),
        ("PROV_CERT=/run/prov\n", (USUAL,), "/run/prov/root-cert.pem", "/run/prov/root-cert.pem"),
        ("PROV_CERT=\n", (USUAL,), LAST, LAST),
        ("PROV_CERT=\n", (), USUAL, LAST),
        ("XDS_ROOT_CA=/x.pem\nCA_ROOT_CA=SYSTEM\n", (), "/x.pem", None),
        ("XDS_ROOT_CA=SYSTEM\nCA_ROOT_CA=./c.pem\n", (), None, "/c.pem"),
        ("PROV_CERT=\nPILOT_CERT_PROVIDER=custom\n", (), USUAL, USUAL),
        ("PILOT_CERT_PROVIDER=custom\n", (USUAL,), USUAL, USUAL),
        ("PROV_CERT=\nPILOT_CERT_PROVIDER=none\nXDS_ROOT_CA=SYSTEM\nCA_ROOT_CA=SYSTEM\n", (), None, None),
        ("PROV_CERT=\nFILE_MOUNTED_CERTS=true\n", (USUAL,), USUAL, USUAL),
        (
            "PROV_CERT=\nFILE_MOUNTED_CERTS=true\nISTIO_META_TLS_CLIENT_ROOT_CERT=/c/root.pem\n",
            (USUAL,),
            "/c/root.pem",
            "/c/root.pem",
        ),
        ("FILE_MOUNTED_CERTS=true\nISTIO_META_TLS_CLIENT_ROOT_CERT=/c/r.pem\n", (), USUAL, "/c/r.pem"),
    ],
)
def test_the_root_certificate_is_looked_for_in_istios_order(
    more: str, absent: tuple[str, ...], xds: str | None, ca: str | None
) -> None:
    config = vm.config(more=more, absent=tuple(Path(path) for path in absent))
    roots = (config.control_plane.xds.root_cert, config.control_plane.ca.root_cert)
    assert roots == (xds and Path(xds), ca and Path(ca))


def test_without_a_provider_somebody_must_name_the_roots() -> None:
    (told,) = vm.complaints(
        more="PROV_CERT=\nPILOT_CERT_PROVIDER=none\nXDS_ROOT_CA=SYSTEM\n", absent=(vm.USUAL_ROOT,)
    )
    assert told == (
        f"{vm.CLUSTER_PATH}:19: PILOT_CERT_PROVIDER='none': leaves no root certificate; "
        "set XDS_ROOT_CA and CA_ROOT_CA, each a file or SYSTEM"
    )


def test_certificates_lie_where_the_start_script_puts_them_and_nowhere_if_it_is_told_so() -> None:
    found = vm.config().credentials
    assert (found.output_dir, found.prov_dir) == (Path("/etc/certs"), Path("/etc/certs"))
    assert found.token == Path("/var/run/secrets/tokens/istio-token")
    assert found.sds_socket == Path("/var/run/secrets/workload-spiffe-uds/socket")
    assert (found.mounted, found.xds_pair) == (None, None)
    emptied = vm.config(more="OUTPUT_CERTS=\nPROV_CERT=\n").credentials
    assert (emptied.output_dir, emptied.prov_dir) == (None, None)


# --- certificates from files alone ------------------------------------------------------------------------


def test_mounted_certificates_are_those_of_etc_certs_and_nothing_is_written_there() -> None:
    found = vm.config(more="FILE_MOUNTED_CERTS=true\n").credentials
    assert found.mounted == MountedFiles(
        chain=Path("/etc/certs/cert-chain.pem"), key=Path("/etc/certs/key.pem"), root=Path(USUAL)
    )
    assert (found.output_dir, found.prov_dir) == (None, None)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_workload_credentials_count_only_if_all_three_are_there(count: int) -> None:
    assert vm.config(there=MOUNTED[:count]).credentials.mounted is None


def test_workload_credentials_need_no_setting() -> None:
    found = vm.config(there=MOUNTED).credentials
    chain, key, root = MOUNTED
    assert found.mounted == MountedFiles(chain=chain, key=key, root=root)


def test_gke_names_its_files_in_its_own_way() -> None:
    mounted = vm.config(more="CA_PROVIDER=GkeWorkloadCertificate\n").credentials.mounted
    assert mounted is not None
    assert [path.name for path in (mounted.chain, mounted.key, mounted.root)] == [
        "certificates.pem",
        "private_key.pem",
        "ca_certificates.pem",
    ]


def test_istiod_may_be_shown_another_pair_than_the_mesh() -> None:
    pair = "ISTIO_META_TLS_CLIENT_CERT_CHAIN=/c/chain.pem\nISTIO_META_TLS_CLIENT_KEY=./c/key.pem\n"
    found = vm.config(more=f"FILE_MOUNTED_CERTS=true\n{pair}").credentials
    assert found.xds_pair == PairFiles(chain=Path("/c/chain.pem"), key=Path("/c/key.pem"))
    assert vm.config(more=pair).credentials.xds_pair is None  # as in Istio, only with mounted certificates


@pytest.mark.parametrize("files", ["FILE_MOUNTED_CERTS=true", "CA_PROVIDER=GkeWorkloadCertificate"])
def test_mounted_and_provided_certificates_exclude_one_another(files: str) -> None:
    (told,) = vm.complaints(more=f"PROV_CERT=/etc/certs\n{files}\n")
    assert told.startswith(
        f"{vm.CLUSTER_PATH}:18: PROV_CERT='/etc/certs': excludes certificates from mounted"
    )
    assert vm.complaints(more=f"PROV_CERT=\n{files}\n") == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("CA_PROVIDER=GoogleCA", "write one of Citadel, GkeWorkloadCertificate"),
        ("CA_ADDR=meshca.googleapis.com:443", "Google's CA, which needs a client of its own; name istiod"),
        ("CREDENTIAL_FETCHER_TYPE=GoogleComputeEngine", "write one of JWT"),
    ],
)
def test_what_another_client_would_be_needed_for_is_refused(line: str, says: str) -> None:
    (told,) = vm.complaints(more=f"{line}\n")
    assert told.startswith(f"{vm.CLUSTER_PATH}:18: {line.partition('=')[0]}=")
    assert says in told


def test_the_defaults_of_providers_may_be_written_out() -> None:
    vm.config(more="CA_PROVIDER=Citadel\nCREDENTIAL_FETCHER_TYPE=JWT\nFILE_MOUNTED_CERTS=false\n")
    vm.config(more="CREDENTIAL_FETCHER_TYPE=\n")
