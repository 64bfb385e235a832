"""Which snapshots are kept to make the next ones of."""

import contextlib
import gc
from dataclasses import replace

import pytest

from lab.controlplane import snapshots
from lab.controlplane.bulk import MANY, in_bulk
from lab.controlplane.mesh import Mesh
from lab.controlplane.snapshot import build
from lab.controlplane.snapshots import Snapshots
from tests.unit.lab import story

WORLD = story.world(story.SERVICE, story.REGISTERED)
MESH = Mesh()


def test_a_world_that_did_not_change_is_not_built_again() -> None:
    kept = Snapshots()
    assert kept.of(WORLD, story.CLIENT, MESH) is kept.of(WORLD, story.CLIENT, MESH)


def test_each_proxy_has_its_own() -> None:
    kept = Snapshots()
    for proxy in (story.CLIENT, story.VM, story.CLIENT, story.VM):
        assert kept.of(WORLD, proxy, MESH).versions == build(WORLD, proxy, MESH).versions


def test_a_proxy_that_comes_back_as_somebody_else_starts_over() -> None:
    kept = Snapshots()
    kept.of(WORLD, story.CLIENT, MESH)
    other = replace(story.CLIENT, namespace="elsewhere")
    assert kept.of(WORLD, other, MESH).versions == build(WORLD, other, MESH).versions


def test_the_one_that_was_built_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST_SERVICES", 2)
    kept = Snapshots()
    third = replace(story.CLIENT, name="third.istio-demo")
    one = kept.of(WORLD, story.CLIENT, MESH)
    two = kept.of(WORLD, story.VM, MESH)
    kept.of(WORLD, third, MESH)
    assert kept.of(WORLD, story.VM, MESH) is two
    assert kept.of(WORLD, story.CLIENT, MESH) is not one


def test_the_cycle_collector_rests_while_much_is_made_and_is_back_even_after_a_failure() -> None:
    with in_bulk(MANY):
        assert not gc.isenabled()
    with contextlib.suppress(KeyError), in_bulk(MANY):
        raise KeyError
    assert gc.isenabled()
    with in_bulk(MANY - 1):
        assert gc.isenabled()
