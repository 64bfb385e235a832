import pytest

from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.kinds.kubernetes import ConfigMap
from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.mesh import Mesh


def istio(mesh: str) -> ConfigMap:
    return ConfigMap(metadata=Metadata(name="istio", namespace="istio-system"), data={"mesh": mesh})


def test_the_mesh_configuration_may_name_the_trust_domain() -> None:
    text = "trustDomain: mesh.test\ndefaultConfig: {discoveryAddress: istiod.istio-system.svc:15012}\n"
    assert Mesh().configured(istio(text)) == Mesh(trust_domain="mesh.test")
    assert Mesh().configured(istio("")) == Mesh()


@pytest.mark.parametrize(
    ("mesh", "complaint"),
    [
        ("trustDomain: 7", "trustDomain is 7: write a string"),
        ("- a", "mesh is ['a']: write a mapping"),
        ("{", "mesh is not YAML"),
    ],
)
def test_a_mesh_configuration_that_makes_no_sense_is_refused(mesh: str, complaint: str) -> None:
    with pytest.raises(BadDocument) as caught:
        Mesh().configured(istio(mesh))
    assert str(caught.value).startswith("ConfigMap istio-system/istio, document 1: ")
    assert complaint in str(caught.value)
