"""``lab compare``: all that was recorded comes out equal, and no change that matters stays unseen."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, struct_pb2, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from lab.compare.command import compare
from lab.compare.difference import differences
from lab.compare.hidden import FIELDS, HIDDEN
from lab.compare.messages import opened
from lab.compare.project import project
from lab.compare.recordings import FILES, Unreadable, scenarios
from lab.compare.run import judge
from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.snapshot.packing import pack
from tests.unit.lab.recorded import ISTIOD, SCENARIOS

WHOLE = (
    "01-vm-joins-the-mesh/vm",
    "08-mongodb-mutual-tls/client",
    "09-tls-routing/client",
    "10-egress-gateway/egressgateway",
)
"""Recordings of which every single field is changed, one at a time."""


def needs_recordings() -> None:
    if not ISTIOD.is_dir():
        pytest.skip("recordings not beside the clone")


@pytest.fixture(scope="module")
def names() -> list[str]:
    needs_recordings()
    return [path.stem for path in sorted(SCENARIOS.glob("*.yaml"))]


def test_every_scenario_comes_out_equal_for_everybody_it_was_recorded_for(names: list[str]) -> None:
    verdicts = {each.name: judge(each) for each in scenarios(SCENARIOS, ISTIOD)}
    assert list(verdicts) == names
    assert {name: verdict.differences for name, verdict in verdicts.items() if not verdict.equal} == {}
    seen = {who for verdict in verdicts.values() for who in verdict.differences}
    assert {"client", "vm", "egressgateway", "client-proxyHttpPort-80"} <= seen


def recorded(place: str) -> Iterator[any_pb2.Any]:
    for stem in FILES:
        path = ISTIOD / place / f"{stem}.pb"
        if path.is_file():
            yield from discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources


Path_ = tuple[str, ...]


def leaves(
    message: Message, path: Path_ = ()
) -> Iterator[tuple[Path_, Message, FieldDescriptor, int | None]]:
    """Every scalar of a message and of what is packed in it, with the names that lead to it."""
    for field, value in message.ListFields():
        here = (*path, f"{message.DESCRIPTOR.name}.{field.name}")
        if field.message_type is None:
            for index in range(len(value)) if field.is_repeated else (None,):
                yield here, message, field, index
        elif not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                named = (*here, each.name) if hasattr(each, "name") else here
                yield from leaves(each, named)


def changed(field: FieldDescriptor, value: object) -> object:
    if isinstance(value, bool):
        return not value
    if field.enum_type is not None and isinstance(value, int):
        numbers = [each.number for each in field.enum_type.values]
        return next(number for number in numbers if number != value)
    if isinstance(value, int | float):
        return value - 1 if value > 2**30 else value + 1
    return value + b"x" if isinstance(value, bytes) else f"{value}x"


def unseen(packed: any_pb2.Any) -> Iterator[Path_]:
    """Paths of scalars whose change the projection does not show. Packed messages are entered."""
    whole = project(packed)
    message = opened(packed)
    assert message is not None
    for path, holder, field, index in list(leaves(message)):
        if isinstance(holder, any_pb2.Any):
            if field.name == "value":
                inner = opened(holder)
                for below in unseen(holder) if inner is not None else ():
                    yield path[:-1] + below
            continue
        if isinstance(holder, struct_pb2.Struct | struct_pb2.Value):
            continue
        before = getattr(holder, field.name) if index is None else getattr(holder, field.name)[index]
        put(holder, field, index, changed(field, before))
        again = any_pb2.Any()
        again.Pack(message)
        if project(again) == whole:
            yield path
        put(holder, field, index, before)


def put(holder: Message, field: FieldDescriptor, index: int | None, value: object) -> None:
    if index is None:
        setattr(holder, field.name, value)
    else:
        getattr(holder, field.name)[index] = value


@pytest.mark.parametrize("place", WHOLE)
def test_whatever_single_field_changes_is_seen_unless_it_is_on_the_list(place: str) -> None:
    needs_recordings()
    for packed in recorded(place):
        if packed.type_url == type_urls.NAME_TABLE:
            continue
        for path in unseen(packed):
            assert FIELDS.intersection(path), path


@pytest.mark.parametrize("change", ["ips", "registry", "namespace", "shortname", "host"])
def test_whatever_changes_in_the_name_table_is_seen(change: str) -> None:
    def table(**said: Any) -> any_pb2.Any:
        names = nds_pb2.NameTable()
        names.table[said.pop("host", "a.b")].CopyFrom(nds_pb2.NameTable.NameInfo(**{**usual, **said}))
        return any_pb2.Any(type_url=type_urls.NAME_TABLE, value=names.SerializeToString())

    usual = {"ips": ["10.0.0.1", "10.0.0.2"], "registry": "External", "namespace": "n", "shortname": "a"}
    assert project(table()) == project(table(ips=["10.0.0.2", "10.0.0.1"]))
    assert project(table()) != project(table(**{change: ["10.0.0.3"] if change == "ips" else "other"}))


def test_names_of_protocols_count_and_so_does_their_order() -> None:
    lists = (("istio", "h2"), ("h2", "istio"), ("h2",), ("istio-peer-exchange", "istio", "h2"))
    offered = [tls_pb2.CommonTlsContext(alpn_protocols=each) for each in lists]
    assert len({str(project(pack(each))) for each in offered}) == len(lists)


def test_every_hidden_thing_has_a_reason_that_is_a_sentence() -> None:
    assert all(each.reason.endswith(".") and len(each.reason) > 20 for each in HIDDEN)


def table(text: str) -> any_pb2.Any:
    return pack(text_format.Parse(text, RouteConfiguration()))


ONE = 'virtual_hosts {name: "a" domains: "x" domains: "y"} virtual_hosts {name: "b" domains: "z"}'
TURNED = 'virtual_hosts {name: "b" domains: "z"} virtual_hosts {name: "a" domains: "y" domains: "x"}'


def test_where_envoy_looks_things_up_their_order_says_nothing() -> None:
    assert project(table(ONE)) == project(table(TURNED))


def test_where_the_first_that_fits_is_taken_the_order_is_a_difference() -> None:
    first = 'virtual_hosts {name: "a" domains: "*" routes {name: "one"} routes {name: "two"}}'
    second = 'virtual_hosts {name: "a" domains: "*" routes {name: "two"} routes {name: "one"}}'
    assert list(differences(project(table(first)), project(table(second)), "rds")) == [
        "rds.virtual_hosts.a.routes: istiod's order is ['one', 'two'], the lab's ['two', 'one']"
    ]


def test_a_difference_is_named_by_the_way_that_leads_to_it() -> None:
    one = table('virtual_hosts {name: "a" domains: "*" routes {name: "r" route {cluster: "x"}}}')
    other = table('virtual_hosts {name: "a" domains: "*" routes {name: "r" route {cluster: "y"}}}')
    assert list(differences(project(one), project(other), "rds.80")) == [
        "rds.80.virtual_hosts.a.routes.r.route.cluster: istiod says 'x', the lab says 'y'"
    ]


# --- the command


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """One scenario and its recording, to be tampered with."""
    needs_recordings()
    name = "06-external-static-dead"
    (tmp_path / "scenarios").mkdir()
    shutil.copy(SCENARIOS / f"{name}.yaml", tmp_path / "scenarios")
    shutil.copytree(ISTIOD / name, tmp_path / "recordings" / name)
    for path in ISTIOD.glob("node-*.json"):
        shutil.copy(path, tmp_path / "recordings")
    for path in tmp_path.rglob("*"):
        path.chmod(0o755)
    return tmp_path


def run(shared: Path) -> tuple[int, str]:
    options = ["--scenarios", str(shared / "scenarios"), "--recordings", str(shared / "recordings")]
    result = CliRunner().invoke(compare, options)
    return result.exit_code, result.output


def test_equal_is_one_line_and_status_0(shared: Path) -> None:
    assert run(shared) == (0, "06-external-static-dead: equal (client)\n")


def test_a_changed_resource_is_a_line_below_its_scenario_and_status_1(shared: Path) -> None:
    (path,) = (shared / "scenarios").iterdir()
    path.write_text(path.read_text().replace("192.168.0.100", "192.168.0.101"))
    status, output = run(shared)
    assert status == 1
    first, *rest = output.splitlines()
    assert first == "06-external-static-dead: differs (client 4)"
    assert all("192.168.0.100" in line or "192.168.0.101" in line for line in rest)


def test_a_refused_document_is_a_difference(shared: Path) -> None:
    (path,) = (shared / "scenarios").iterdir()
    path.write_text(path.read_text().replace("protocol: HTTPS", "protocol: HTPPS"))
    status, output = run(shared)
    assert status == 1
    assert "refused: 06-external-static-dead.yaml, document 1: spec.ports[1].protocol is 'HTPPS'" in output


def test_a_scenario_that_nobody_recorded_is_not_equal_to_anything(shared: Path) -> None:
    shutil.rmtree(shared / "recordings" / "06-external-static-dead")
    assert run(shared) == (1, "06-external-static-dead: not recorded\n")


def test_a_recording_without_its_scenario_and_a_missing_directory_are_named(shared: Path) -> None:
    (path,) = (shared / "scenarios").iterdir()
    path.unlink()
    status, output = run(shared)
    assert status == 2
    assert "has no 06-external-static-dead.yaml, which was recorded" in output
    with pytest.raises(Unreadable, match="is no directory"):
        list(scenarios(shared / "nowhere", shared))


def test_what_is_hidden_can_be_read_with_its_reasons() -> None:
    output = CliRunner().invoke(compare, ["--hidden"]).output
    for each in HIDDEN:
        assert f"{each.what}\n    {each.reason}" in output
