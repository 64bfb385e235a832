"""The declarations of stories: what they may say, and that the repository's own say nothing wrong."""

from pathlib import Path

import pytest

from lab.controlplane.resources import read as read_resources
from lab.hosts.errors import LabError
from lab.scenes.joining import labelled
from lab.scenes.looking import differs
from lab.scenes.scene import CLIENT, Look, Scene, Server, find, read, scenes

SCENES = list(scenes())

SOUND = """
title: One
document: none
hosts: {docker: {serves: [web]}}
phases: [{says: a, see: [{says: b, run: "true", contains: c}]}]
"""

NUMBERS = {f"{number:02}" for number in range(1, 15)} | {"03b", "10b"}


def declared(directory: Path, text: str) -> Scene:
    (directory / "scene.yaml").write_text(text)
    return read(directory)


def test_every_story_of_the_documents_is_there() -> None:
    assert {scene.name.split("-")[0] for scene in SCENES} == NUMBERS


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_its_resources_are_sound(scene: Scene) -> None:
    for path in (*scene.before, *(path for phase in scene.phases for path in phase.apply)):
        parsed = read_resources(path.read_text(), file=str(path))
        assert parsed.resources
        assert not parsed.refused


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_file_beside_it_is_used_or_told_of(scene: Scene) -> None:
    directory = Path(__file__).parents[3] / "lab" / "scenarios" / scene.name
    used = {path.name for path in (*scene.before, *(path for phase in scene.phases for path in phase.apply))}
    used |= {part.joins.group.name for part in scene.parts if part.joins}
    readme = directory / "README.md"
    told = readme.read_text() if readme.exists() else ""
    for path in directory.glob("*.yaml"):
        assert path.name in used | {"scene.yaml"} or f"`{path.name}`" in told, path


def test_a_story_is_found_by_number_name_path_and_beginning() -> None:
    for word in ("10", "10-egress-gateway", "lab/scenarios/10-egress-gateway/", "10-e"):
        assert find(word).name == "10-egress-gateway"
    assert find("10b").name == "10b-egress-gateway-visible"


@pytest.mark.parametrize("word", ["99", "1", ""])
def test_one_that_is_not_named_clearly_is_answered_with_all_names(word: str) -> None:
    with pytest.raises(LabError, match="begin") as why:
        find(word)
    assert "14-subject-alt-names" in why.value.hint


def test_a_client_is_in_the_mesh_unless_a_story_says_otherwise(tmp_path: Path) -> None:
    scene = declared(tmp_path, SOUND)
    assert scene.parts[0] == CLIENT
    assert scene.parts[1].serves == (Server(kind="web", where="80"),)
    told = declared(tmp_path, SOUND.replace("docker: {serves: [web]}", "client: {leaves: true}"))
    assert [part.host for part in told.parts] == ["client"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("title: One", "titel: One", "titel is 'One'"),
        ("title: One", "title: 1", "title is 1"),
        ("docker:", "dokcer:", "no host 'dokcer'"),
        ("serves: [web]", "serves: [gopher]", "serves is 'gopher'"),
        ("serves: [web]", "serves: [mongod]", "serves is 'mongod'"),
        ("serves: [web]", "joins: nowhere.yaml", "joins is 'nowhere.yaml'"),
        ("serves: [web]", "leaves: maybe", "leaves is 'maybe'"),
        ("contains: c", "within: 3", "answers is None"),
        ("contains: c", "contains: c, within: 1000", "within is 1000"),
        ("contains: c", "contains: [1]", r"contains is \[1\]"),
        ("phases: [{", "phases: []\nx: [{", "x is"),
    ],
)
def test_what_is_wrong_is_named_with_file_key_and_value(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    with pytest.raises(LabError, match=named) as why:
        declared(tmp_path, SOUND.replace(old, new))
    assert why.value.hint
    if "dokcer" not in new:
        assert str(tmp_path / "scene.yaml") in str(why.value)


def test_labels_are_added_to_those_of_the_group() -> None:
    text = "A='1'\nISTIO_METAJSON_LABELS='{\"app\":\"nginx\"}'\nB='2'\n"
    assert labelled(text, {"class": "vm"}) == (
        'A=\'1\'\nISTIO_METAJSON_LABELS=\'{"app":"nginx","class":"vm"}\'\nB=\'2\'\n'
    )


def test_answers_are_the_different_lines_and_no_others() -> None:
    wanted = Look(says="", host="client", run="", answers=frozenset({"a", "b"}))
    assert differs(wanted, "a\nb\na") == ""
    assert differs(wanted, "a") == "expected a and b"
    assert differs(wanted, "a\nb\nc") == "expected a and b"


def test_texts_may_be_wanted_or_not() -> None:
    wanted = Look(says="", host="client", run="", contains=("a",), lacks=("b",))
    assert differs(wanted, "la") == ""
    assert "'a'" in differs(wanted, "x")
    assert "'b'" in differs(wanted, "ab")
