"""``lab check``: the same words as the control plane's log, and an exit status."""

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab.cli import main
from lab.controlplane.resource_files import ResourceFiles

GOOD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: good, namespace: shop}
spec: {hosts: [good.example], ports: [{name: http, number: 80, protocol: HTTP}], resolution: DNS}
"""
BAD = GOOD.replace("name: good", "name: bad").replace("number: 80", "number: 80000")
DESTINATION_RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule, namespace: shop}
spec: {host: good.example, subsets: [{name: v1, labels: {version: v1}}]}
"""


def check(*files: Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, files)])


def written(path: Path, *documents: str) -> Path:
    path.write_text("---".join(documents))
    return path


def test_a_file_in_order_is_accepted_document_by_document(tmp_path: Path) -> None:
    result = check(written(tmp_path / "a.yaml", GOOD))
    assert result.output == "accepted: ServiceEntry shop/good\n"
    assert result.exit_code == 0


def test_a_refused_document_names_file_document_field_value_and_rule_and_spares_the_others(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "a.yaml", BAD, GOOD)
    result = check(path)
    assert result.output.splitlines() == [
        "accepted: ServiceEntry shop/good",
        f"refused: {path}, document 1: spec.ports[0].number is 80000: write a whole number from 1 to 65535",
    ]
    assert result.exit_code == 1


def test_the_control_plane_says_of_a_file_what_lab_check_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "a.yaml", BAD, GOOD, "kind: [")
    with caplog.at_level(logging.ERROR):
        files = ResourceFiles(tmp_path)
        files.take(files.look())
    refused = [line for line in check(path).output.splitlines() if line.startswith("refused: ")]
    assert [f"refused: {line.rpartition('; ')[0]}" for line in caplog.messages] == refused
    assert len(refused) == 2


def test_what_is_not_served_and_what_leads_nowhere_is_said_and_is_no_failure(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", DESTINATION_RULE, "\nkind: Role\napiVersion: rbac/v1\n")
    result = check(path)
    assert result.output.splitlines() == [
        "accepted: DestinationRule shop/rule",
        f"without effect: {path}, document 2: Role (no name) (rbac/v1) is set aside: it is not served here",
        "without effect: DestinationRule shop/rule: no service has the host good.example",
    ]
    assert result.exit_code == 0


def test_files_are_judged_together_and_a_directory_means_the_files_in_it(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", DESTINATION_RULE)
    written(tmp_path / "b.yml", GOOD)
    written(tmp_path / "notes.txt", "kind: [")
    result = check(tmp_path)
    assert "no service has the host" not in result.output
    assert result.exit_code == 0


def test_a_resource_in_two_files_counts_once(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.yaml", GOOD), written(tmp_path / "b.yaml", GOOD)
    result = check(first, second)
    assert (
        f"without effect: {second}: ServiceEntry shop/good is already in {first}"
        in result.output.splitlines()
    )


def test_a_file_that_is_not_there_or_not_text_is_another_status(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    result = check(tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert [line.split(": ")[1] for line in result.output.splitlines()] == ["cannot be read"] * 2
    assert result.exit_code == 2
