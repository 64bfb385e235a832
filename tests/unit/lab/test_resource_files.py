"""A directory of resources: what is read again, what keeps its last good version, what wins."""

from pathlib import Path

import pytest

from lab.controlplane.registry import Key
from lab.controlplane.resource_files import ResourceFiles


def service(name: str, port: int = 80) -> str:
    return f"""apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [{name}.example]
  ports: [{{name: http, number: {port}, protocol: HTTP}}]
  resolution: DNS
"""


def key(name: str) -> Key:
    return "ServiceEntry", "shop", name


@pytest.fixture
def files(tmp_path: Path) -> ResourceFiles:
    (tmp_path / "one.yaml").write_text("---\n".join(map(service, "abc")))
    files = ResourceFiles(tmp_path)
    files.take(files.look())
    return files


def test_a_file_is_looked_at_and_only_then_taken(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(service("a"))
    files = ResourceFiles(tmp_path)
    seen = files.look()
    assert files.resource(key("a")) is None
    assert files.take(seen) == [key("a")]
    assert files.resource(key("a")) is not None
    assert files.look() == []


def test_a_change_of_one_document_touches_that_one(files: ResourceFiles) -> None:
    before = {name: files.resource(key(name)) for name in "abc"}
    path = files.directory / "one.yaml"
    path.write_text("---\n".join([service("a"), service("b", 8080), service("c")]))
    assert files.take(files.look()) == [key("b")]
    assert files.resource(key("a")) is before["a"]
    assert files.resource(key("c")) is before["c"]


def test_a_document_that_moves_within_its_file_is_the_same(files: ResourceFiles) -> None:
    (files.directory / "one.yaml").write_text("---\n".join(map(service, "cab")))
    assert files.take(files.look()) == []


def test_what_was_seen_before_something_newer_was_taken_does_not_count(files: ResourceFiles) -> None:
    path = files.directory / "one.yaml"
    path.write_text(service("a", 1))
    old = files.look()
    path.write_text(service("a", 2000))
    files.take(files.look())
    assert files.take(old) == []


def test_a_file_that_is_gone_takes_its_resources_along(files: ResourceFiles) -> None:
    (files.directory / "one.yaml").unlink()
    assert files.take(files.look()) == [key("a"), key("b"), key("c")]
    assert files.holder(key("a")) is None


def test_the_first_file_wins_until_it_lets_go(files: ResourceFiles, caplog: pytest.LogCaptureFixture) -> None:
    first = files.resource(key("a"))
    (files.directory / "two.yaml").write_text(service("a", 8080))
    files.take(files.look())
    assert files.resource(key("a")) is first
    assert "ServiceEntry shop/a is already in another file; ignored here" in caplog.text
    (files.directory / "one.yaml").unlink()
    assert key("a") in files.take(files.look())
    assert files.holder(key("a")) == files.directory / "two.yaml"


def test_a_broken_file_is_told_by_its_line_and_keeps_what_it_held(
    files: ResourceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    path = files.directory / "one.yaml"
    lines = path.read_text().count("\n")
    path.write_text(path.read_text() + "---\nkind: [\n")
    assert files.take(files.look()) == []
    assert f"line {lines + 3}" in caplog.text
    assert files.resource(key("a")) is not None
    assert files.look() == [], "one complaint is enough"


def test_the_number_of_a_bad_document_is_its_place_in_the_file(
    files: ResourceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    path = files.directory / "one.yaml"
    path.write_text(path.read_text() + "---\n# nothing\n---\n" + service("d").replace("80", "eighty"))
    files.take(files.look())
    assert "document 5" in caplog.text


def test_several_documents_are_put_where_they_are_and_new_ones_into_files_of_their_own(
    files: ResourceFiles,
) -> None:
    (files.directory / "one.yaml").write_text("# mine\n" + (files.directory / "one.yaml").read_text())
    files.take(files.look())
    changes = {
        key(name): {**files.document(key("a")), "metadata": {"name": name, "namespace": "shop"}}
        for name in ("b", "new")
    }
    seen = files.put({**changes, key("c"): None})
    assert sorted(files.take(seen)) == [key("b"), key("c"), key("new")]
    text = (files.directory / "one.yaml").read_text()
    assert text.startswith("# mine\n" + service("a"))
    assert files.holder(key("new")) == files.directory / "serviceentry.shop.new.yaml"


def test_a_file_that_holds_nothing_any_more_is_taken_away(files: ResourceFiles) -> None:
    files.take(files.put(dict.fromkeys([key("a"), key("b"), key("c")])))
    assert list(files.directory.iterdir()) == []


def test_one_refused_document_takes_no_other_with_it(
    files: ResourceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """The others change as they are told to; the refused one stays as it last was good."""
    before = {name: files.resource(key(name)) for name in "abc"}
    wrong = service("b").replace("DNS", "DSN")
    (files.directory / "one.yaml").write_text("---\n".join([service("a", 81), wrong, service("d")]))
    assert files.take(files.look()) == [key("a"), key("c"), key("d")]
    assert files.resource(key("b")) is before["b"]
    assert files.resource(key("c")) is None
    assert "one.yaml, document 2: spec.resolution is 'DSN': write one of" in caplog.text
    assert caplog.text.count("; keeping its last good version") == 1
    mended = [service("a", 81), service("b", 82), service("d")]
    (files.directory / "one.yaml").write_text("---\n".join(mended))
    assert files.take(files.look()) == [key("b")]


def test_a_refused_document_that_was_never_good_is_nobody(
    files: ResourceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    text = (files.directory / "one.yaml").read_text()
    (files.directory / "one.yaml").write_text(text + "---\n" + service("d").replace("80", "0"))
    assert files.take(files.look()) == []
    assert files.resource(key("d")) is None
    why = "document 4: spec.ports[0].number is 0: write a whole number from 1 to 65535"
    assert f"{why}; it is ignored" in caplog.text


def test_beside_a_document_that_cannot_be_read_nothing_counts_as_taken_away(files: ResourceFiles) -> None:
    """It might be the one; whatever else the file says counts."""
    before = {name: files.resource(key(name)) for name in "abc"}
    (files.directory / "one.yaml").write_text("---\n".join([service("a", 81), "kind: [\n", service("d")]))
    assert files.take(files.look()) == [key("a"), key("d")]
    assert files.resource(key("b")) is before["b"]
    (files.directory / "one.yaml").write_text("---\n".join([service("a", 81), service("d")]))
    assert files.take(files.look()) == [key("b"), key("c")]


def test_a_refused_document_is_told_once_and_not_with_every_other_change(
    files: ResourceFiles, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = service("b").replace("DNS", "DSN")
    (files.directory / "one.yaml").write_text("---\n".join([service("a"), wrong]))
    files.take(files.look())
    (files.directory / "one.yaml").write_text("---\n".join([service("a", 8081), wrong]))
    files.take(files.look())
    assert caplog.text.count("DSN") == 1
