"""Raises one story on a lab of its own and leaves it standing, with what to try: ``lab up 09``."""

from collections.abc import Callable

from lab.hosts.errors import LabError
from lab.hosts.lab import Lab
from lab.scenes.looking import look
from lab.scenes.raising import Site
from lab.scenes.scene import Scene

Tell = Callable[[str], None]


def raise_scene(lab: Lab, scene: Scene, tell: Tell) -> None:
    """All of its phases, each looked at. Raises LabError where something else is seen; the lab stands then,
    for whoever wants to find out why.
    """
    lab.up()
    site = Site(lab)
    site.begin()
    tell(f"{scene.title} ({scene.document})")
    site.prepare(scene)
    for phase in scene.phases:
        site.enter(phase)
        tell(f"\n{phase.says}")
        for path in phase.apply:
            tell(f"  $ lab apply -f {path.parent.name}/{path.name}")
        for wanted in phase.see:
            seen = look(lab, wanted)
            tell(f"\n  {wanted.says}\n  $ {command(lab, wanted.host, wanted.run)}")
            for line in seen.printed.splitlines()[:10]:
                tell(f"    {line}")
            if seen.why:
                raise LabError(f"{scene.name}: {wanted.says}: {seen.why}", hint="lab logs client; lab down")


def command(lab: Lab, host: str, line: str) -> str:
    """What a reader can type."""
    name = "" if lab.name == "demo" else f" --name {lab.name}"
    plain = not set(line) & set("|&;<>$`'\"(){}[]*?~!\\=")
    quoted = line if plain else "bash -c '" + line.replace("'", "'\\''") + "'"
    return f".venv/bin/lab{name} exec {host} -- {quoted}"
