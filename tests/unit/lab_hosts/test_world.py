import pytest

from lab.hosts.cluster import KINDS, Kind, kind_of
from lab.hosts.errors import LabError
from lab.hosts.machine import tree
from lab.hosts.network import cable_script, hardware, host_script, switch_script, switch_script6
from lab.hosts.world import CLUSTER_DNS, GATEWAY, MACHINES, Families, Machine, Places, machine_of


def test_the_hosts_have_the_addresses_of_the_documents() -> None:
    assert {machine.name: machine.address for machine in MACHINES} == {
        "istiod": "192.168.0.59",
        "vm": "192.168.0.204",
        "client": "192.168.0.30",
        "docker": "192.168.0.20",
        "outside": "192.168.0.70",
        "egress": "192.168.0.80",
    }


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_host_has_a_default_route(machine: Machine) -> None:
    assert f"route add default via {GATEWAY}\n" in host_script(machine)


def test_the_switch_knows_where_the_clusters_name_server_is() -> None:
    assert f"route add {CLUSTER_DNS}/32 via 192.168.0.59\n" in switch_script()


def test_two_hosts_have_the_documents_addresses_from_somewhere_else() -> None:
    assert "route add 2.2.2.2/32 via 192.168.0.80\n" in switch_script()
    assert "route add 3.3.3.3/32 via 192.168.0.20\n" in switch_script()


@pytest.mark.parametrize("name", ["", "Demo", "a/b", "../x", "1st", "a b", "x" * 32])
def test_a_name_that_would_lead_elsewhere_is_no_labs_name(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a lab's name"):
        Places(name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_known_by_all_its_names(kind: Kind) -> None:
    for word in (kind.name, kind.plural, kind.short):
        assert kind_of(word) is kind


def test_paths_are_those_of_kubernetes() -> None:
    assert kind_of("we").collection("istio-demo") == (
        "/apis/networking.istio.io/v1/namespaces/istio-demo/workloadentries"
    )
    assert kind_of("we").collection(None) == "/apis/networking.istio.io/v1/workloadentries"
    assert kind_of("ns").collection("ignored") == "/api/v1/namespaces"
    assert kind_of("cm").collection("istio-system") == "/api/v1/namespaces/istio-system/configmaps"


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LabError) as why:
        kind_of("widget")
    assert "workloadentries" in why.value.hint


def test_no_two_network_cards_have_one_address() -> None:
    cards = {hardware(address) for address in (GATEWAY, *(machine.address for machine in MACHINES))}
    assert len(cards) == len(MACHINES) + 1
    assert hardware("192.168.0.204") == "02:00:c0:a8:00:cc"  # locally administered, unicast


def test_a_cable_has_the_hosts_card_at_its_other_end() -> None:
    script = cable_script(machine_of("vm"), "4711")
    assert "peer name eth0 address 02:00:c0:a8:00:cc netns 4711\n" in script
    assert "link set vm master br0 up\n" in script


def test_a_host_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(LabError) as why:
        machine_of("vm2")
    assert "istiod, vm, client, docker, outside" in why.value.hint


def test_trees_of_another_list_of_packages_are_other_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree.home()
    monkeypatch.setattr(tree, "BASE", (*tree.BASE, "kmod"))
    assert tree.home() != before
    with pytest.raises(LabError, match="not there"):
        tree.layers("iptables")
    with pytest.raises(LabError, match="there is no tree 'ubuntu'"):
        tree.layers("ubuntu")


def test_no_tree_that_gets_the_agent_has_what_its_package_brings_or_both_tools_for_rules() -> None:
    for flavour in ("iptables", "nftables"):
        packages = {*tree.BASE, *tree.FLAVOURS[flavour]}
        assert len(packages & {"iptables", "nftables"}) == 1
        assert not [name for name in packages if name.startswith("python3")]


def test_a_host_of_ipv6_alone_has_no_address_of_ipv4_and_asks_by_its_own_family() -> None:
    host = machine_of("client").with_families(Families.IPV6)
    script = host_script(host)
    assert "192.168." not in script
    assert "address add fd00:168::30/64 dev eth0 nodad\n" in script
    assert "route add ::/0 via fd00:168::1\n" in script
    assert host.resolv_conf.startswith("nameserver fd00:96::10\n")
    assert host.addresses == ("fd00:168::30",)


def test_a_host_of_both_has_both_that_of_ipv4_first() -> None:
    host = machine_of("vm").with_families(Families.BOTH)
    assert host.addresses == ("192.168.0.204", "fd00:168::204")
    assert host.resolv_conf == "nameserver 127.0.0.53\n"  # a resolver on the machine itself is one
    client = machine_of("client").with_families(Families.BOTH)
    assert client.resolv_conf.startswith("nameserver 10.96.0.10\nnameserver fd00:96::10\n")


def test_the_switch_knows_the_way_to_the_cluster_in_ipv6_too() -> None:
    istiod = machine_of("istiod").with_families(Families.BOTH)
    assert "route add fd00:96::10/128 via fd00:168::59\n" in switch_script6([istiod])
