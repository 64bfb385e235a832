import pytest

from vmagent.dns.names import Claim, Home, claims
from vmagent.xds.names import KUBERNETES, NameEntry

HOME = Home.parse(namespace="ns1", domain="ns1.svc.cluster.local")


def service(short: str, namespace: str, *alt_hosts: str) -> NameEntry:
    return NameEntry(
        ips=("9.9.9.9",), registry=KUBERNETES, shortname=short, namespace=namespace, alt_hosts=alt_hosts
    )


def names(host: str, entry: NameEntry, home: Home = HOME) -> set[str]:
    return {name for _, name in claims(host, entry, home)}


@pytest.mark.parametrize("domain", ["ns1.svc.cluster.local", "svc.cluster.local", "svc.cluster.local."])
def test_the_domain_may_or_may_not_begin_with_the_namespace(domain: str) -> None:
    assert Home.parse(namespace="ns1", domain=domain).suffix == "svc.cluster.local"


def test_a_service_of_our_namespace_is_known_by_its_bare_name() -> None:
    assert names("productpage.ns1.svc.cluster.local", service("productpage", "ns1")) == {
        "productpage.ns1.svc.cluster.local",
        "productpage.ns1.svc",
        "productpage.ns1",
        "productpage",
    }


def test_a_service_of_another_namespace_needs_its_namespace() -> None:
    assert "reviews" not in names("reviews.ns2.svc.cluster.local", service("reviews", "ns2"))
    assert "reviews.ns2" in names("reviews.ns2.svc.cluster.local", service("reviews", "ns2"))


def test_a_pod_of_a_headless_service_has_short_forms_too() -> None:
    found = names("pod1.details.ns2.svc.cluster.remote", service("pod1.details", "ns2"))
    assert found == {"pod1.details.ns2.svc.cluster.remote"}
    found = names("pod1.details.ns2.svc.cluster.local", service("pod1.details", "ns2"))
    assert {"pod1.details.ns2", "pod1.details.ns2.svc"} < found


def test_a_service_of_another_domain_has_its_full_name_only() -> None:
    assert names("x.ns1.svc.cluster.remote", service("x", "ns1", "x.alias")) == {"x.ns1.svc.cluster.remote"}
    assert names("xsvc.cluster.local", service("x", "ns1")) == {"xsvc.cluster.local"}


def test_a_dot_at_the_end_loses_no_name() -> None:
    assert "productpage" in names("productpage.ns1.svc.cluster.local.", service("productpage", "ns1"))
    assert names("www.google.com.", NameEntry(ips=(), registry="External")) == {"www.google.com"}


def test_upper_case_is_the_same_name() -> None:
    assert names("WWW.Google.COM", NameEntry(ips=(), registry="External")) == {"www.google.com"}


def test_alternative_hosts_count_for_services_only() -> None:
    assert "details.alias" in names("d.ns1.svc.cluster.local", service("d", "ns1", "details.alias."))
    other = NameEntry(ips=(), registry="External", shortname="www", namespace="ns1", alt_hosts=("alias",))
    assert names("www.google.com", other) == {"www.google.com"}


def test_without_a_domain_there_are_no_short_forms() -> None:
    home = Home.parse(namespace="ns1", domain="")
    assert names("d.ns1.svc.cluster.local", service("d", "ns1"), home) == {"d.ns1.svc.cluster.local"}


def test_nobody_may_claim_every_name_there_is() -> None:
    assert names("*", NameEntry(ips=(), registry="External")) == set()
    assert "*" not in names("d.ns1.svc.cluster.local", service("d", "ns1", "*", "."))
    assert names("", NameEntry(ips=(), registry="External")) == set()


def test_a_host_is_a_stronger_claim_than_what_is_derived_from_another() -> None:
    strength = {
        name: claim for claim, name in claims("d.ns1.svc.cluster.local", service("d", "ns1", "alias"), HOME)
    }
    assert strength["d.ns1.svc.cluster.local"] < strength["d"] < strength["alias"]
    assert list(Claim) == sorted(Claim)
