"""``config show`` and ``config explain``: what counts, who said so; no secrets."""

import dataclasses
import json

import pytest

from vmagent.config import explain
from vmagent.config.model import Config
from vmagent.errors import Misconfigured

from . import vm

SECRETS = (
    "XDS_HEADER_authorization='Bearer hunter2'\nCA_HEADER_key=hunter2\nISTIO_META_DB_PASSWORD=hunter2\n"
    "PROXY_CONFIG='tracing: {lightstep: {address: \"l:1\", accessToken: hunter2}}'\n"
)


def config() -> Config:
    return vm.config(more="SECRET_TTL=3h\n", sidecar="SECRET_TTL=2h\n", environ={"SECRET_TTL": "1h"})


def test_a_key_is_explained_with_its_origin_what_it_overrides_and_its_meaning() -> None:
    assert explain.explain(config(), "SECRET_TTL").splitlines() == [
        "SECRET_TTL=3h",
        f"  from       {vm.CLUSTER_PATH}:18",
        f"  overrides  '2h' from {vm.SIDECAR_PATH}:1",
        "  overrides  '1h' from environment",
        "  overrides  '24h' from default",
        "  meaning    Lifetime of certificate to ask for.",
    ]


@pytest.mark.parametrize("key", ["defaultConfig.discoveryAddress", "discoveryAddress", "discovery_address"])
def test_a_field_of_the_mesh_file_is_found_under_each_of_its_names(key: str) -> None:
    assert explain.explain(vm.config(), key).splitlines()[:2] == [
        "defaultConfig.discoveryAddress=istiod.istio-system.svc:15012",
        f"  from       {vm.MESH_PATH}:2",
    ]


def test_node_metadata_of_ones_own_is_explained() -> None:
    found = explain.explain(vm.config(more="ISTIO_META_SITE=b\n"), "ISTIO_META_SITE")
    assert "node metadata SITE" in found


def test_a_setting_without_effect_is_explained_as_such() -> None:
    assert "no effect  read by nothing" in explain.explain(vm.config(more="ISTIO_CFG=1\n"), "ISTIO_CFG")


def test_a_key_nobody_knows_is_answered_with_the_nearest() -> None:
    with pytest.raises(Misconfigured) as unknown:
        explain.explain(vm.config(), "SECRET_TLT")
    assert unknown.value.hint == "did you mean SECRET_TTL?"


def test_the_list_holds_what_somebody_set_and_no_default() -> None:
    listed = {line.key: line for line in explain.lines(config())}
    assert listed["SECRET_TTL"].value == "3h"
    assert listed["SECRET_TTL"].origin == f"{vm.CLUSTER_PATH}:18"
    assert "ENVOY_STATUS_PORT" not in listed
    assert "defaultConfig.statusPort" not in listed


def test_the_document_holds_every_section_as_json() -> None:
    document = json.loads(json.dumps(explain.document(config())))
    assert set(document) == {field.name for field in dataclasses.fields(Config)}
    assert document["control_plane"]["xds"]["address"] == "istiod.istio-system.svc:15012"
    assert document["credentials"]["ttl"] == 3 * 3600
    assert document["origins"]["SECRET_TTL"] == f"{vm.CLUSTER_PATH}:18"
    assert document["probe"]["method"]["port"] == 80


def test_secrets_are_shown_nowhere() -> None:
    config = vm.config(more=SECRETS)
    assert "hunter2" not in json.dumps(explain.document(config))
    assert all("hunter2" not in line.value for line in explain.lines(config))
    for key in config.origins:
        assert "hunter2" not in explain.explain(config, key)


def test_whatever_has_no_place_in_the_configuration_is_our_bug() -> None:
    with pytest.raises(TypeError):
        explain._plain(object(), "x")
