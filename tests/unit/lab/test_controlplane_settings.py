from dataclasses import replace
from pathlib import Path

import pytest

from lab.controlplane.settings import VARIABLES, BadSetting, Endpoint, Settings, boolean, with_environment

SETTINGS = Settings(resources=Path("r"), state=Path("s"))


def test_istiods_own_variables_are_understood() -> None:
    given = {
        "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION": "false",
        "PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS": "0",
        "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "5s",
        "ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY": "F",
        "DEFAULT_WORKLOAD_CERT_TTL": "1h",
        "MAX_WORKLOAD_CERT_TTL": "2h",
        "PILOT_DEBOUNCE_AFTER": "200ms",
        "PILOT_DEBOUNCE_MAX": "5s",
        "PILOT_ENABLE_EDS_DEBOUNCE": "false",
        "POD_NAME": "istiod-77",
        "UNRELATED": "x",
    }
    assert with_environment(SETTINGS, given) == replace(
        SETTINGS,
        autoregistration=False,
        healthchecks=False,
        grace_period=5.0,
        validate_identity=False,
        default_certificate_ttl=3600.0,
        max_certificate_ttl=7200.0,
        debounce=0.2,
        debounce_most=5.0,
        debounce_endpoints=False,
        controller="istiod-77",
    )


def test_an_empty_environment_changes_nothing() -> None:
    assert with_environment(SETTINGS, dict.fromkeys(VARIABLES, "")) == SETTINGS


def test_every_bad_variable_is_named_at_once() -> None:
    with pytest.raises(BadSetting, match=r"GRACE_PERIOD: 'soon'.*CERT_TTL: 'x'"):
        with_environment(
            SETTINGS, {"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "soon", "MAX_WORKLOAD_CERT_TTL": "x"}
        )
    with pytest.raises(ValueError, match="neither true nor false"):
        boolean("yes")


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [("127.0.0.1:0", Endpoint("127.0.0.1", 0)), ("[::1]:15012", Endpoint("::1", 15012))],
)
def test_an_endpoint_reads_back_as_it_was_written(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["", "15012", "host:", "host:http", "host:70000"])
def test_what_is_not_host_and_port_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Endpoint.parse(text)


def test_the_serving_certificate_names_the_listening_address_unless_it_is_any() -> None:
    assert replace(SETTINGS, names=("a",)).extra_names == ("a",)
    assert replace(SETTINGS, listen=Endpoint("192.168.0.59", 1)).extra_names == ("192.168.0.59",)
    assert replace(SETTINGS, listen=Endpoint("istiod.test", 1)).extra_names == ("istiod.test",)
