import pytest

from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import AlreadyThere, World, key_of
from lab.controlplane.resources import parse
from lab.controlplane.services import services
from tests.unit.lab import story
from tests.unit.lab.test_workloads import HEALTHY


def entry(text: str) -> WorkloadEntry:
    (resource,) = parse(text, file="x.yaml").resources
    assert isinstance(resource, WorkloadEntry)
    return resource


def test_a_change_makes_a_new_world_and_leaves_the_old_one_alone() -> None:
    before = story.world(story.SERVICE)
    after = before.add(entry(story.REGISTERED))
    assert len(before.resources) == 1
    assert after.get(WorkloadEntry, "istio-demo", "nginx-192.168.0.204") == entry(story.REGISTERED)
    assert after.remove(key_of(entry(story.REGISTERED))) == before


def test_a_resource_that_changes_keeps_its_place() -> None:
    world = story.world(story.REGISTERED, story.REGISTERED.replace("0.204", "0.205"))
    world = world.replace(entry(HEALTHY))
    assert [each.spec.address for each in world.all(WorkloadEntry)] == ["192.168.0.204", "192.168.0.205"]
    assert world.all(WorkloadEntry)[0].healthy


def test_what_is_not_there_cannot_be_replaced_or_removed() -> None:
    with pytest.raises(KeyError):
        World().replace(entry(HEALTHY))
    with pytest.raises(KeyError):
        World().remove(("WorkloadEntry", "a", "b"))


def test_two_documents_for_one_thing_are_refused_by_name() -> None:
    with pytest.raises(AlreadyThere, match="ServiceEntry istio-demo/nginx is already there"):
        story.world(story.SERVICE, story.SERVICE)


def test_a_file_that_is_read_again_exchanges_its_resources_in_one_step() -> None:
    other = story.SERVICE.replace("nginx.jd.com", "xxx.jd.com").replace("name: nginx\n", "name: xxx\n", 1)
    world = story.world(story.SERVICE, story.REGISTERED)
    old = [key_of(each) for each in world.all(ServiceEntry)]
    new = parse(other + "---" + story.SERVICE, file="again.yaml").resources
    world = world.exchange(old, new)
    assert [(each.host, each.allocated) for each in services(world, Mesh())[0]] == [
        ("nginx.jd.com", ("240.240.0.1", "2001:2::1")),
        ("xxx.jd.com", ("240.240.0.2", "2001:2::2")),
    ]
    assert len(world.all(WorkloadEntry)) == 1
