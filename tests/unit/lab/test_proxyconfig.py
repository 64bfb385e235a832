"""The tables of ``istioctl proxy-config`` out of a proxy's dump, the documents' own two listings
among them."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from lab.cli import main
from tests.unit.lab.dumped import LIVE, config_dump, documents, served


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config_dump.json"
    path.write_text(json.dumps(config_dump(served(documents("xxx.jd.com")))))
    return path


def lab(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(each) for each in words])


def cells(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def test_the_documents_listing_of_a_service_that_is_routed(file: Path) -> None:
    assert lab("routes", "--file", file, "--name", "80").output.splitlines() == [
        "NAME     DOMAINS        MATCH     VIRTUAL SERVICE",
        "80       xxx.jd.com     /*        hello2-vs.istio-demo",
    ]


def test_the_documents_listing_of_the_trap(tmp_path: Path) -> None:
    """The VirtualService's short host means another name than the ServiceEntry's."""
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(config_dump(served(documents("xxx")))))
    assert lab("routes", "--file", path, "--name", "80").output.splitlines() == [
        "NAME     DOMAINS                              MATCH     VIRTUAL SERVICE",
        "80       xxx.istio-demo.svc.cluster.local     /*        hello2-vs.istio-demo",
        "80       xxx                                  /*",
    ]


def test_both_spellings_of_json_give_the_same_tables(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "camel.json"
    other.write_text(json.dumps(config_dump(served(documents("xxx.jd.com")), camel=True)))
    for word in ("routes", "clusters", "listeners", "endpoints"):
        assert lab(word, "--file", other).output == lab(word, "--file", file).output


def test_clusters_are_told_by_service_port_subset_and_direction(file: Path) -> None:
    found = lab("clusters", "--file", file, "--fqdn", "xxx.jd.com").output.splitlines()
    assert found == [
        "SERVICE FQDN     PORT     SUBSET     DIRECTION     TYPE     DESTINATION RULE",
        "xxx.jd.com       80       -          outbound      EDS      hello2-dr.istio-demo",
        "xxx.jd.com       80       docker     outbound      EDS      hello2-dr.istio-demo",
        "xxx.jd.com       80       vm         outbound      EDS      hello2-dr.istio-demo",
    ]
    assert ["BlackHoleCluster", "-", "-", "-", "STATIC"] in cells(lab("clusters", "--file", file))


@pytest.mark.parametrize(
    ("options", "hosts"),
    [
        (("--subset", "vm"), ["xxx.jd.com"]),
        (("--port", "81"), []),
        (("--port", "80", "--direction", "outbound", "--subset", "docker"), ["xxx.jd.com"]),
        (("--direction", "inbound"), []),
    ],
)
def test_clusters_are_filtered_as_istioctl_filters_them(
    file: Path, options: tuple[str, ...], hosts: list[str]
) -> None:
    _, *rows = cells(lab("clusters", "--file", file, *options))
    assert [row[0] for row in rows] == hosts


def test_listeners_say_what_they_take_and_where_it_goes(file: Path) -> None:
    rows = cells(lab("listeners", "--file", file))
    assert ["0.0.0.0", "15001", "ALL", "PassthroughCluster"] in rows
    assert ["0.0.0.0", "15001", "Addr:", "*:15001", "Non-HTTP/Non-TCP"] in rows
    assert any(row[1] == "80" and row[-2:] == ["Route:", "80"] for row in rows)


def test_listeners_are_filtered_by_address_and_type(file: Path) -> None:
    assert len(cells(lab("listeners", "--file", file, "--address", "10.1.2.3"))) == 1
    http = cells(lab("listeners", "--file", file, "--type", "http+tcp"))
    assert {row[1] for row in http[1:]} == {"80", "15006"}
    assert "80" not in {row[1] for row in cells(lab("listeners", "--file", file, "--type", "TCP"))}


def test_endpoints_of_a_config_dump_are_told_with_locality(file: Path) -> None:
    wanted = ("--cluster", "outbound|80||xxx.jd.com")
    assert lab("endpoints", "--file", file, *wanted).output.splitlines() == [
        "ENDPOINT             STATUS      LOCALITY     CLUSTER",
        "192.168.0.204:80     UNKNOWN                  outbound|80||xxx.jd.com",
        "192.168.0.20:80      UNKNOWN                  outbound|80||xxx.jd.com",
    ]
    only = cells(lab("endpoints", "--file", file, *wanted, "--address", "192.168.0.20"))
    assert [row[0] for row in only[1:]] == ["192.168.0.20:80"]


def test_endpoints_of_the_live_list_are_told_with_outlier_detection(tmp_path: Path) -> None:
    path = tmp_path / "clusters.json"
    path.write_text(json.dumps(LIVE))
    assert lab("endpoints", "--file", path).output.splitlines() == [
        "ENDPOINT             STATUS        OUTLIER CHECK     CLUSTER",
        "192.168.0.20:80      UNHEALTHY     OK                outbound|80||xxx.jd.com",
        "192.168.0.204:80     HEALTHY       FAILED            outbound|80||xxx.jd.com",
        "unix://./socket      UNKNOWN       OK                sds-grpc",
    ]
    assert [row[0] for row in cells(lab("endpoints", "--file", path, "--status", "unhealthy"))[1:]] == [
        "192.168.0.20:80"
    ]
    kept = json.loads(lab("endpoints", "--file", path, "--address", "192.168.0.20", "-o", "json").output)
    assert [len(each["hostStatuses"]) for each in kept] == [1]


def test_json_and_yaml_are_the_resources_themselves(file: Path) -> None:
    (table,) = json.loads(lab("routes", "--file", file, "--name", "80", "-o", "json").output)
    host = next(each for each in table["virtualHosts"] if each["name"] == "xxx.jd.com:80")
    split = host["routes"][0]["route"]["weightedClusters"]["clusters"]
    assert "outbound|80|docker|xxx.jd.com" in {each["name"] for each in split}
    assert host["routes"][0]["metadata"]["filterMetadata"]["istio"]["config"].endswith("/hello2-vs")
    as_yaml = yaml.safe_load(lab("routes", "--file", file, "--name", "80", "-o", "yaml").output)
    assert as_yaml == [table]


def test_wide_routes_name_the_virtual_host_as_todays_istioctl_does(file: Path) -> None:
    heading, row = cells(lab("routes", "--file", file, "--name", "80", "-o", "wide"))
    assert heading[:3] == ["NAME", "VHOST", "NAME"]
    assert row[:2] == ["80", "xxx.jd.com:80"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("{}", "there is no RoutesConfigDump in it, but no configs"),
        ("[]", "there is no RoutesConfigDump in it, but no configs"),
        ('{"configs": [{"@type": "x/envoy.admin.v3.BootstrapConfigDump"}]}', "but BootstrapConfigDump"),
    ],
)
def test_a_file_that_is_no_dump_is_named_with_what_is_missing(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "dump.json"
    path.write_text(text)
    result = lab("routes", "--file", path)
    assert result.exit_code == 1
    assert str(path) in result.output
    assert said in result.output


def test_a_dump_without_endpoints_says_how_to_ask_for_them(tmp_path: Path, file: Path) -> None:
    dump = json.loads(file.read_text())
    dump["configs"] = [each for each in dump["configs"] if not each["@type"].endswith("EndpointsConfigDump")]
    path = tmp_path / "short.json"
    path.write_text(json.dumps(dump))
    assert "(ask for /config_dump?include_eds)" in lab("endpoints", "--file", path).output


def test_either_a_host_or_a_file_is_asked(file: Path) -> None:
    assert lab("routes").exit_code == lab("routes", "vm", "--file", file).exit_code == 2
