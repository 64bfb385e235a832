"""What a pod's files, as Kubernetes writes them, say of this machine."""

import pytest

from vmagent.config import podfiles

from . import vm

LABELS_PATH = "/etc/istio/pod/labels"
ANNOTATIONS_PATH = "/etc/istio/pod/annotations"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('a="plain"', "plain"),
        ('a=""', ""),
        ('  a = "spaces around"  ', "spaces around"),
        (r'a="one\ntwo\tthree"', "one\ntwo\tthree"),
        (r'a="say \"yes\" \\ no"', 'say "yes" \\ no'),
        (r'a="\u00e9\x41\U0001f600\101"', "éA😀A"),
        ('a="b=c"', "b=c"),
    ],
)
def test_values_are_quoted_as_go_quotes(line: str, value: str) -> None:
    assert podfiles.parse(line.encode(), "labels").values == {"a": value}


def test_lines_without_a_key_are_passed_over() -> None:
    found = podfiles.parse(b'\n# a comment\na="1"\n', "labels")
    assert (found.values, found.lines, found.problems) == ({"a": "1"}, {"a": 3}, ())


@pytest.mark.parametrize("line", ["a=bare", 'a="open', r'a="\q"', 'a="b" c', r'a="\UFFFFFFFF"'])
def test_a_wrong_quote_is_named_with_its_line(line: str) -> None:
    (told,) = vm.complaints(labels=f'x="y"\n{line}\n')
    assert told.startswith(f"{LABELS_PATH}:2: a=")
    assert "write" in told


def test_no_file_and_an_empty_one_are_both_no_news() -> None:
    assert vm.config().workload.labels == vm.config(labels="").workload.labels


def test_what_tells_pods_of_one_deployment_apart_is_no_label_of_the_workload() -> None:
    labels = vm.config(labels='pod-template-hash="5d8"\napp="web"\n').workload.labels
    assert "pod-template-hash" not in labels
    assert labels["app"] == "web"


def test_a_label_of_the_pod_says_where_it_stands() -> None:
    node = vm.config(labels='topology.istio.io/locality="r1/z1"\n').node
    assert (node.locality.region, node.locality.zone) == ("r1", "z1")
    told, static = node.metadata["LABELS"], node.metadata["STATIC_LABELS"]
    assert isinstance(told, dict)
    assert isinstance(static, dict)
    assert told["istio-locality"] == "r1/z1"
    assert "istio-locality" not in static


def test_the_annotation_lies_over_mesh_file_and_inline_config() -> None:
    config = vm.config(
        more="PROXY_CONFIG='drainDuration: 20s'\n",
        annotations=r'proxy.istio.io/config="drainDuration: 10s\nmeshId: m1\n"' + "\n",
    )
    assert config.envoy.drain_time == 10
    assert config.envoy.proxy_config["meshId"] == "m1"
    assert str(config.origins["defaultConfig.meshId"][0].origin) == f"{ANNOTATIONS_PATH}:1"


def test_annotations_of_one_field_have_the_last_word() -> None:
    config = vm.config(
        more="PILOT_ADDRESS=10.0.0.1:15012\n",
        annotations='sidecar.istio.io/discoveryAddress="10.0.0.2:15012"\n'
        'status.sidecar.istio.io/port="15555"\n',
    )
    assert str(config.control_plane.xds.address) == "10.0.0.2:15012"
    assert config.status.port == 15555


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ('sidecar.istio.io/discoveryAddress="istiod"', "not a value for this annotation; write HOST:PORT"),
        ('status.sidecar.istio.io/port="x"', "not a value for this annotation; write a whole number"),
        ('proxy.istio.io/config="statusPort: x"', "(proxy.istio.io/config):1: statusPort='x'"),
    ],
)
def test_a_wrong_annotation_is_named_with_its_line(annotation: str, says: str) -> None:
    (told,) = vm.complaints(annotations=f"{annotation}\n")
    assert told.startswith(f"{ANNOTATIONS_PATH}:1")
    assert says in told


def test_an_excluded_interface_has_no_address_here_unless_the_operator_names_it() -> None:
    annotations = 'traffic.sidecar.istio.io/excludeInterfaces="eth0"\n'
    assert "an address of this machine" in vm.resolved(annotations=annotations).missing
    config = vm.config(annotations=annotations, more="ISTIO_SVC_IP=192.168.0.204\n")
    assert config.workload.ips == ("192.168.0.204",)
