"""The YAML of the source documents, loaded literally: what becomes of each piece of it.

No indentation is mended and no name is changed. Every document of every piece is in one of these tables.
"""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.check import check
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import read
from lab.controlplane.services import services
from lab.controlplane.workloads import Workloads
from tests.unit.lab import seeds

ACCEPTED = {
    "service-entry-blog.zh.txt": [],
    "service-entry-intro.zh.md": [
        "ServiceEntry default/svc-entry",
        "Deployment default/svc-entry-client",
        "ServiceEntry default/svc-entry",
    ],
    "service-entry-reference.zh.md": [
        "ServiceEntry default/external-svc-https",
        "ServiceEntry default/external-svc-mongocluster",
        "DestinationRule default/mtls-mongocluster",
        "ServiceEntry default/external-svc-redirect",
        "VirtualService default/tls-routing",
        "ServiceEntry egress/external-svc-httpbin",
        "Gateway istio-system/istio-egressgateway",
        "VirtualService egress/gateway-routing",
        "ServiceEntry default/external-svc-wildcard-example",
        "ServiceEntry default/unix-domain-socket-example",
        "ServiceEntry httpbin-ns/httpbin",
    ],
    "service-entry.zh.md": [
        "ServiceEntry istio-demo/nginx-x",
        "WorkloadEntry istio-demo/vm204",
        "Deployment istio-demo/hello2-deploy",
        "DestinationRule istio-demo/hello2-dr",
        "VirtualService istio-demo/hello2-vs",
    ],
    "vm-with-sidecar.zh.md": [
        "WorkloadEntry istio-demo/nginx-192.168.0.204",
        "ServiceEntry istio-demo/nginx",
        "Deployment istio-demo/nginx",
        "DestinationRule istio-demo/nginx-dr",
        "VirtualService istio-demo/nginx-vs",
    ],
}

LOST_INDENTATION = ", document {}: metadata.name is nothing: write a string"
NOT_YAML = ", document {}: not YAML: while parsing a block mapping"

REFUSED = {
    # Every line of this page begins in column 1.
    "service-entry-blog.zh.txt": [
        *(LOST_INDENTATION.format(number) for number in (1, 2, 3)),
        *(NOT_YAML.format(number) for number in (4, 5)),
    ],
    "service-entry-intro.zh.md": [],
    # As istiod does: recordings/README.md.
    "service-entry-reference.zh.md": [
        ", document 11: spec.endpoints[0].ports is {'https': 8080}: endpoint port 8080 is not defined by the "
        "service entry; its ports are named http"
    ],
    "service-entry.zh.md": [],
    # A shell's here-document, of which the shell was to fill in the names.
    "vm-with-sidecar.zh.md": [
        ", document 1: metadata.name is '${VM_APP}': write lower-case letters, digits, dashes and dots, as "
        "Kubernetes demands of a name"
    ],
}

WITHOUT_EFFECT = {
    "service-entry-blog.zh.txt": [],
    "service-entry-intro.zh.md": [],
    "service-entry-reference.zh.md": [
        "VirtualService default/tls-routing: no service has the host "
        "internal-egress-firewall.ns1.svc.cluster.local, to which it sends",
        "VirtualService egress/gateway-routing: there is no Gateway egress/istio-egressgateway: what is "
        "bound to it is bound to nothing",
        "VirtualService egress/gateway-routing: no service has the host "
        "istio-egressgateway.istio-system.svc.cluster.local, to which it sends",
    ],
    # The pods behind subset docker have not been made, and are labelled otherwise.
    "service-entry.zh.md": [
        "DestinationRule istio-demo/hello2-dr: subset docker has none of the workloads of xxx.jd.com",
        "DestinationRule istio-demo/hello2-dr: pods of Deployment istio-demo/hello2-deploy are in no subset",
    ],
    "vm-with-sidecar.zh.md": [
        "DestinationRule istio-demo/nginx-dr: subset docker has none of the workloads of nginx.jd.com"
    ],
}


@pytest.fixture(autouse=True)
def _beside_the_clone() -> None:
    if not seeds.SEEDS.is_dir():
        pytest.skip("the source documents are not beside the clone")


@pytest.mark.parametrize("document", ACCEPTED)
def test_each_document_is_accepted_refused_or_without_effect_as_stated(document: str, tmp_path: Path) -> None:
    path = tmp_path / "literal.yaml"
    path.write_text("---\n".join(seeds.resources(document)))
    result = CliRunner().invoke(check, [str(path)])
    lines = [line.partition(": ") for line in result.output.splitlines()]
    assert [said for how, _, said in lines if how == "accepted"] == ACCEPTED[document]
    refused = [said.removeprefix(str(path)) for how, _, said in lines if how == "refused"]
    assert len(refused) == len(REFUSED[document]), refused
    for said, expected in zip(refused, REFUSED[document], strict=True):
        assert said.startswith(expected), said
    assert [said for how, _, said in lines if how == "without effect"] == WITHOUT_EFFECT[document]
    assert result.exit_code == (1 if refused else 0)


def test_no_source_document_is_left_out() -> None:
    assert set(seeds.documents()) == set(ACCEPTED)


def test_all_of_the_documents_that_are_accepted_can_stand_in_one_mesh() -> None:
    """They are served together, whatever was refused beside them."""
    texts = [text for document in seeds.documents() for text in seeds.resources(document)]
    found = {}
    for text in texts:
        for resource in read(text, file="literal.yaml").resources:
            found[resource.KIND, resource.metadata.namespace, resource.metadata.name] = resource
    world = World.of(found.values())
    served, problems = services(world, Mesh(allocation=Allocation.SEQUENTIAL))
    assert problems == ()
    assert {"nginx.jd.com", "xxx.jd.com", "httpbin.com", "*.wikipedia.org"} <= {each.host for each in served}
    workloads = Workloads(world, Mesh())
    behind = {
        each.host: [endpoint.address for endpoint in workloads.behind(each)]
        for each in served
        if each.host in {"nginx.jd.com", "xxx.jd.com"}
    }
    assert behind == {"nginx.jd.com": ["192.168.0.204"], "xxx.jd.com": ["192.168.0.204"]}
