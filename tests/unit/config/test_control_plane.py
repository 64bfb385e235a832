"""Where the control plane is, and what it is shown."""

import pytest

from . import vm


@pytest.mark.parametrize(
    ("more", "mesh", "xds", "ca"),
    [
        ("", "", "istiod.istio-system.svc:15012", "istiod.istio-system.svc:15012"),
        ("", "discoveryAddress: a.example:1", "a.example:1", "a.example:1"),
        ("CA_ADDR=ca.example:2\n", "discoveryAddress: a.example:1", "a.example:1", "ca.example:2"),
        ("PILOT_ADDRESS=p.example:3\n", "discoveryAddress: a.example:1", "p.example:3", "p.example:3"),
        ("PILOT_ADDRESS=p.example:3\nCA_ADDR=c.example:2\n", "", "p.example:3", "c.example:2"),
        ("ISTIO_PILOT_PORT=4\n", "discoveryAddress: a.example:1", *["istiod.istio-system.svc:4"] * 2),
        ("ISTIO_PILOT_PORT=4\nPILOT_ADDRESS=p.example:3\n", "", "p.example:3", "p.example:3"),
        ("ISTIO_SYSTEM_NAMESPACE=mesh\n", "", "istiod.mesh.svc:15012", "istiod.mesh.svc:15012"),
        (
            "PROXY_CONFIG='discoveryAddress: x.example:5'\n",
            "discoveryAddress: a.example:1",
            *["x.example:5"] * 2,
        ),
        ("CA_ADDR=\n", "discoveryAddress: a.example:1", "a.example:1", "a.example:1"),
        ("", 'discoveryAddress: "[fd00::1]:15012"', "[fd00::1]:15012", "[fd00::1]:15012"),
    ],
)
def test_there_is_one_address_of_the_control_plane_unless_somebody_says_otherwise(
    more: str, mesh: str, xds: str, ca: str
) -> None:
    peers = vm.config(more=more, mesh=f"defaultConfig:\n  {mesh}\n").control_plane
    assert (str(peers.xds.address), str(peers.ca.address)) == (xds, ca)


def test_that_the_ca_follows_the_mesh_file_is_said() -> None:
    found = vm.resolved(mesh="defaultConfig:\n  discoveryAddress: a.example:1\n")
    assert found.notes == (
        f"{vm.MESH_PATH}:2: the CA is asked at a.example:1 too; CA_ADDR would say otherwise",
    )
    (said,) = found.config.origins["CA_ADDR"]
    assert (said.text, said.origin.kind) == ("a.example:1", "derived")


def test_one_name_holds_for_both_certificates_of_istiod() -> None:
    peers = vm.config(more="ISTIOD_SAN=istiod.example.com\nCA_ADDR=10.0.0.1:15012\n").control_plane
    assert peers.xds.server_name == peers.ca.server_name == "istiod.example.com"


def test_the_name_is_the_host_part_and_istiods_own_through_a_forwarded_port() -> None:
    peers = vm.config(
        mesh='discoveryAddress: "[fd00::1]:15012"\n', more="CA_ADDR=localhost:15012\n"
    ).control_plane
    assert peers.xds.server_name == "fd00::1"
    assert peers.ca.server_name == "istiod.istio-system.svc"


def test_tls_is_left_out_only_on_request() -> None:
    peers = vm.config(more="ISTIO_CP_AUTH=NONE\nCA_ADDR=istiod.istio-system.svc:15010\n").control_plane
    assert not peers.xds.tls
    assert not peers.ca.tls
    plain = vm.config().control_plane
    assert plain.xds.tls
    assert plain.ca.tls


def test_extra_headers_go_with_every_call() -> None:
    peers = vm.config(more="CA_HEADER_authz='b c'\n", environ={"XDS_HEADER_X-Tenant": "a"}).control_plane
    assert (peers.xds.headers, peers.ca.headers) == ((("x-tenant", "a"),), (("authz", "b c"),))


@pytest.mark.parametrize(
    "name", ["XDS_HEADER_x-bin", "CA_HEADER_x-bin", "XDS_HEADER_é", "CA_HEADER_", "XDS_HEADER_a b"]
)
def test_a_name_that_grpc_refuses_for_ever_is_no_header(name: str) -> None:
    (line,) = vm.complaints(environ={name: "x"})
    assert "not a header" in line


@pytest.mark.parametrize("value", ["é", "a\tb", "a\x7f", "日本"])
def test_nor_is_such_a_value(value: str) -> None:
    for prefix in ("XDS_HEADER_", "CA_HEADER_"):
        (line,) = vm.complaints(more=f"{prefix}x='{value}'\n")
        assert f"{prefix}x=(hidden): not a header" in line
        assert value not in line


def test_a_header_that_could_not_be_sent_is_refused_without_showing_it() -> None:
    (line,) = vm.complaints(more="XDS_HEADER_x='hunter2\n'\n")
    assert line.startswith(f"{vm.CLUSTER_PATH}:18: XDS_HEADER_x=(hidden): not a header")
    assert "hunter2" not in line
