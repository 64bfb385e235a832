"""Each story as it is declared in lab/scenarios, on hosts with the agent and a stock Envoy."""

import pytest

from lab.scenes.looking import look
from lab.scenes.raising import Site
from lab.scenes.scene import Scene, scenes


def without_agent_first(scene: Scene) -> tuple[bool, str]:
    """Hosts come into the mesh and leave it as a scene asks: few changes are quick."""
    return not any(part.host == "vm" and part.leaves for part in scene.parts), scene.name


STORIES: list[Scene] = sorted(scenes(), key=without_agent_first)


@pytest.mark.parametrize("scene", STORIES, ids=lambda scene: scene.name)
def test_the_story_is_seen_as_it_is_declared(site: Site, scene: Scene) -> None:
    try:
        site.prepare(scene)
        for phase in scene.phases:
            site.enter(phase)
            for wanted in phase.see:
                seen = look(site.lab, wanted)
                assert not seen.why, f"{wanted.says}: {seen.why}, but {wanted.run!r} printed {seen.printed}"
    finally:
        site.clear(scene)
