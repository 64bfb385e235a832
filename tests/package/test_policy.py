"""What Debian wants of a package, and what ours promises about itself."""

import subprocess
from pathlib import Path

from tests.conftest import ROOT

EVERYWHERE = {"iproute2", "libc6", "libgcc-s1", "libstdc++6", "nftables | iptables", "systemd"}
"""What a server of Debian 12, Ubuntu 22.04 and 24.04 has."""

LARGEST = 60_000_000
"""Bytes: what an operator copies to a machine over whatever line there is."""


def test_lintian_has_nothing_to_say(deb: Path) -> None:
    done = subprocess.run(["lintian", "--allow-root", deb], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_depends_on_what_every_server_has(deb: Path) -> None:
    depends = subprocess.run(
        ["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    assert {word.split(" (")[0].strip() for word in depends.split(",")} == EVERYWHERE


def test_its_settings_are_conffiles_and_nothing_else_is(tree: Path) -> None:
    listed = (tree / "DEBIAN" / "conffiles").read_text().split()
    shipped = [f"/{path.relative_to(tree)}" for path in (tree / "etc").rglob("*") if path.is_file()]
    ours = [f"/{path.relative_to(ROOT)}" for path in (ROOT / "etc").rglob("*") if path.is_file()]
    assert sorted(listed) == sorted(shipped) == sorted(ours)


def test_it_is_small_enough_to_carry(deb: Path) -> None:
    assert deb.stat().st_size < LARGEST


def test_it_brings_the_licences_of_all_that_is_inside(tree: Path) -> None:
    told = (tree / "usr/share/doc/istio-agent/copyright").read_text()
    packages = tree / "usr/lib/istio-agent/lib/python3.11/dist-packages"
    inside = {path.name.split("-")[0] for path in packages.glob("*.dist-info")}
    assert len(inside) >= 10
    inside |= {f"debian-{name}" for name in ("python3.11", "openssl", "zlib", "expat", "libffi")}
    for name in inside:
        section = told.partition(f"\n======== {name} ========\n")[2].partition("\n======== ")[0]
        assert len(section.split()) > 20, f"no licence of {name}"


def test_it_says_which_versions_of_debian_are_inside(deb: Path) -> None:
    """Whoever follows security notices must find out."""
    field = subprocess.run(
        ["dpkg-deb", "--field", deb, "Static-Built-Using"], capture_output=True, text=True, check=True
    ).stdout
    for name in ("python3.11", "openssl", "zlib", "expat", "libffi"):
        assert f"{name} (= " in field
