"""Names that dashboards are made of."""

from dataclasses import replace

from tests.unit.status.texts import read, write
from vmagent.status import catalogue
from vmagent.status.catalogue import DnsReadings, Readings
from vmagent.status.exposition import Format, Metric, families

AT_START = Readings(now=1000.0, version="1", gates={"xds": False})
LATER = replace(
    AT_START,
    gates={"xds": True, "envoy": False},
    startup_seconds=0.75,
    certificate_expires=1300.0,
    file_expiries={"file-cert:/c~/k": 1100.0},
    file_failures=2,
    token_expires=900.0,
    terminations={"error": 2},
    config_received=990.0,
    last_known_good_age=720.0,
    healthy=False,
    taken_out=("istio.alpn", "istio.stats"),
    refused=3,
    dns=DnsReadings(
        requests=5,
        upstream_requests=3,
        upstream_failures=1,
        bounds=(0.1,),
        counts=(2, 1),
        upstream_seconds=1.5,
        from_table=2,
        names=7,
    ),
)


def text(metrics: list[Metric]) -> str:
    return write(list(families(metrics, Format.TEXT)))


def samples(metrics: list[Metric]) -> dict[str, str]:
    lines = (line.rpartition(" ") for line in text(metrics).splitlines() if line[0] != "#")
    return {name: value for name, _, value in lines}


def test_what_is_not_known_yet_is_absent_and_counters_begin_with_nothing() -> None:
    found = samples(catalogue.metrics(AT_START))
    assert found['istio_agent_istiod_connection_terminations{type="error"}'] == "0"
    assert found["istio_agent_xds_proxy_requests"] == "0"
    assert not [name for name in found if "expiry" in name or "dns" in name or "startup" in name]


def test_every_name_of_istios_agent_that_means_something_here_is_there() -> None:
    own = {name.partition("{")[0].removeprefix("istio_agent_") for name in samples(catalogue.metrics(LATER))}
    own |= {
        name.partition("{")[0].removeprefix("istio_agent_")
        for name in samples(
            catalogue.scrapes(catalogue.ScrapeReadings(total=1, failures={"envoy": 0}))
        )
    }  # fmt: skip
    assert own >= {
        "startup_duration_seconds",
        "scrapes_total",
        "scrape_failures_total",
        "num_file_secret_failures_total",
        "istiod_connection_failures",
        "istiod_connection_terminations",
        "xds_proxy_requests",
        "xds_proxy_responses",
        "dns_requests_total",
        "dns_upstream_requests_total",
        "dns_upstream_failures_total",
        "dns_upstream_request_duration_seconds_bucket",
        "num_outgoing_requests",
        "num_failed_outgoing_requests",
        "cert_expiry_seconds",
    }


def test_what_has_expired_is_negative() -> None:
    found = samples(catalogue.metrics(LATER))
    assert found['istio_agent_cert_expiry_seconds{resource_name="default"}'] == "300"
    assert found['istio_agent_cert_expiry_seconds{resource_name="file-cert:/c~/k"}'] == "100"
    assert found["vmagent_token_expiry_seconds"] == "-100"


def test_states_are_zero_or_one() -> None:
    found = samples(catalogue.metrics(LATER))
    assert found['vmagent_gate_open{gate="xds"}'] == "1"
    assert found['vmagent_gate_open{gate="envoy"}'] == "0"
    assert found["vmagent_application_healthy"] == "0"
    assert found['vmagent_xds_extensions_taken_out{extension="istio.stats"}'] == "1"
    assert found["vmagent_xds_resources_refused"] == "3"
    assert found["vmagent_config_age_seconds"] == "10"
    assert found["vmagent_last_known_good_age_seconds"] == "720"


def test_no_name_is_used_twice_and_all_of_it_can_be_read() -> None:
    for form in Format:
        made = write(list(families(catalogue.metrics(LATER), form)), form)
        assert write(read(made, form), form) == made
    names = [metric.name for metric in catalogue.metrics(LATER)]
    assert len(names) == len(set(names))
