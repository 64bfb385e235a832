"""Much of everything, on real sockets."""

from tests.flow.xds.delta.resources import CDS, EDS, cluster, endpoints
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine, until
from vmagent.xds.shelf import SMALL


async def test_what_is_held_lies_on_disk_once_nothing_happens_and_goes_to_the_next_envoy(
    istiod: Istiod, vm: Machine
) -> None:
    large = {f"c{number}": cluster(f"c{number}", SMALL // 8) for number in range(40)}
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await istiod.push(CDS, large)
        await envoy.next(CDS)
        await until(lambda: _in_memory(vm) < SMALL)
        await istiod.push(CDS, {"c7": cluster("c7", 10)})
        await envoy.next(CDS)
    async with vm.delta_envoy() as envoy:
        found = {each.name: each.resource.value for each in (await envoy.get(CDS)).resources}
    expected = {name: each.SerializeToString() for name, each in large.items()}
    assert found == {
        **expected,
        "c7": cluster("c7", 10).SerializeToString(),
        "web": cluster("web").SerializeToString(),
        "db": cluster("db").SerializeToString(),
    }


def _in_memory(vm: Machine) -> int:
    blobs = {id(piece.blob): piece.blob for held in vm.hub.held for piece in held.all_pieces()}
    return sum(blob.size for blob in blobs.values() if blob.in_memory)


async def test_ten_thousand_names_and_thirty_megabytes_pass_in_both_directions(
    istiod: Istiod, vm: Machine
) -> None:
    many = [f"outbound|{number}||{'x' * 60}.svc" for number in range(10_000)]
    istiod.change(EDS, {name: endpoints(name, "r" * 3000) for name in many})
    async with vm.delta_envoy() as envoy:
        response = await envoy.get(EDS, *many)
        assert len(response.resources) == len(many)
        assert response.ByteSize() > 30_000_000
        await until(lambda: response.nonce in istiod.accepted, within=15)
        await istiod.stop()
        await until(lambda: not vm.hub.connected)
        istiod.requests.clear()
        await istiod.start()
        await until(lambda: istiod.asked(EDS), within=15)
        assert len(istiod.asked(EDS)[0].initial_resource_versions) == len(many)
