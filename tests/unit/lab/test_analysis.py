"""Resources that are accepted and lead nowhere are told apart from those that work."""

from lab.controlplane.analysis import without_effect
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import parse

BOOKS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: books, namespace: shop}
spec:
  hosts: [books.shop.svc.cluster.local]
  location: MESH_INTERNAL
  ports: [{name: http, number: 80, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.1.0.1, labels: {version: v1}}]
"""


def told(*documents: str) -> list[str]:
    return without_effect(World.of(parse("---".join(documents), file="x.yaml").resources), Mesh())


def virtual_service(spec: str) -> str:
    return (
        "\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
        f"metadata: {{name: way, namespace: shop}}\nspec: {spec}\n"
    )


def destination_rule(subsets: str) -> str:
    return (
        "\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
        f"metadata: {{name: rule, namespace: shop}}\nspec: {{host: books, subsets: [{subsets}]}}\n"
    )


TO_V1 = virtual_service("{hosts: [books], http: [{route: [{destination: {host: books, subset: v1}}]}]}")


def test_what_leads_somewhere_is_not_mentioned() -> None:
    assert told(BOOKS, TO_V1, destination_rule("{name: v1, labels: {version: v1}}")) == []


def test_a_subset_that_no_rule_has_is() -> None:
    assert told(BOOKS, TO_V1) == [
        "VirtualService shop/way: no DestinationRule has the subset v1 of books.shop.svc.cluster.local, to "
        "which it sends"
    ]


def test_a_subset_that_no_workload_is_in_is() -> None:
    assert told(BOOKS, destination_rule("{name: v2, labels: {version: v2}}")) == [
        "DestinationRule shop/rule: subset v2 has none of the workloads of books.shop.svc.cluster.local"
    ]


def test_a_host_that_no_service_has_is() -> None:
    assert told(TO_V1) == [
        "VirtualService shop/way: host books means books.shop.svc.cluster.local, which no service has",
        "VirtualService shop/way: no service has the host books.shop.svc.cluster.local, to which it sends",
    ]
    assert told(destination_rule("")) == [
        "DestinationRule shop/rule: no service has the host books.shop.svc.cluster.local"
    ]


def test_a_short_host_is_not_the_service_entry_that_is_written_the_same() -> None:
    """istiod completes a host without a dot; of a ServiceEntry it takes it as it is."""
    short = BOOKS.replace("books.shop.svc.cluster.local", "books")
    first, *_ = told(short, TO_V1)
    assert first == (
        "VirtualService shop/way: host books means books.shop.svc.cluster.local, which no service has; the "
        "ServiceEntry's host books is another one, and goes on without it: give both a host with a dot"
    )


def test_a_gateway_that_is_not_there_is() -> None:
    way = virtual_service(
        "{hosts: [a.example], gateways: [front], http: [{route: [{destination: {host: books}}]}]}"
    )
    assert told(BOOKS, way) == [
        "VirtualService shop/way: there is no Gateway shop/front: what is bound to it is bound to nothing"
    ]


def test_mirrors_and_connections_are_followed_too() -> None:
    way = virtual_service(
        "{hosts: [books], http: [{route: [{destination: {host: books}}], mirror: {host: gone.example}}],"
        " tcp: [{route: [{destination: {host: away.example}}]}]}"
    )
    assert told(BOOKS, way) == [
        "VirtualService shop/way: no service has the host gone.example, to which it sends",
        "VirtualService shop/way: no service has the host away.example, to which it sends",
    ]
