"""What purge takes away and what it leaves: the package's own script, on places that are the test's."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmagent.envoy.footprint import SHARED_MEMORY
from vmagent.identity import store
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime import files

PLACES = ("etc", "run", "var/lib", "var/log", "dev/shm")
AGENT, OTHER = 4101, 4102
PASSWD = f"""\
root:x:0:0::/:/bin/sh
istio-proxy:x:{AGENT}:{AGENT}::/:/bin/false
envoy:x:{OTHER}:{OTHER}::/:/bin/false
"""

VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")
OURS = Credential(
    spiffe=VM, key_pem=b"key\n", chain_pem=b"chain\n", root_pem=b"root\n", not_before=0.0, not_after=1.0
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in (*PLACES, "etc/istio/proxy", "etc/certs"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    return tmp_path


@pytest.fixture
def purge(root: Path, tree: Path) -> Callable[[], None]:
    """``postrm purge`` in namespaces of its own, with ``root``'s directories in place of the system's."""
    script = (tree / "DEBIAN" / "postrm").read_text()
    mounts = "".join(f"mount --rbind {root / place} /{place} && " for place in PLACES)

    def run() -> None:
        assert os.geteuid() == 0, "a package is removed by root"
        subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-c", f'{mounts} exec sh -s purge'],
            input=script, text=True, check=True,
        )  # fmt: skip

    return run


def listed(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def owned(path: Path, uid: int) -> str:
    path.write_text("memory")
    os.chown(path, uid, uid)
    return path.name


def test_the_key_that_the_agent_wrote_goes_and_the_roots_of_the_mesh_stay(
    root: Path, purge: Callable[[], None]
) -> None:
    certs = root / "etc/certs"
    store.save(certs, OURS)
    for name in (store.KEY, store.WRITTEN, ".credential.next"):
        (certs / f".{name}.abcd1234").write_text("what a killed agent has left of a write")
    purge()
    assert listed(certs) == ["root-cert.pem"]


@pytest.mark.parametrize("before", ["an agent with a CA ran before", "never"])
def test_a_key_and_a_certificate_that_an_operator_keeps_there_stay(
    root: Path, purge: Callable[[], None], before: str
) -> None:
    certs = root / "etc/certs"
    if before != "never":
        store.save(certs, OURS)
    for name in (store.KEY, store.CHAIN, store.ROOT, f".{store.KEY}.swp"):
        (certs / name).write_text("an operator's")
    purge()
    assert {path.read_text() for path in certs.iterdir()} == {"an operator's"}
    assert listed(certs) == [".key.pem.swp", "cert-chain.pem", "key.pem", "root-cert.pem"]


def test_of_what_lies_in_shared_memory_only_that_of_our_envoy_goes(
    root: Path, purge: Callable[[], None]
) -> None:
    memory = root / "dev/shm"
    (root / "etc/istio/proxy" / SHARED_MEMORY).write_text("envoy_shared_memory_150000\n")
    owned(memory / "envoy_shared_memory_150000", AGENT)
    others = [
        owned(memory / "envoy_shared_memory_0", OTHER),
        owned(memory / "envoy_shared_memory_10", AGENT),
        owned(memory / "database", AGENT),
    ]
    purge()
    assert listed(memory) == sorted(others)
    assert not (root / "etc/istio").exists()


@pytest.mark.parametrize(
    "name", ["envoy_shared_memory_150000", "envoy_shared_memory_*", "../passwd", "database", "", "-delete"]
)
def test_the_agents_user_cannot_have_purge_remove_what_is_not_its_own_envoys(
    root: Path, purge: Callable[[], None], name: str
) -> None:
    memory = root / "dev/shm"
    (root / "etc/istio/proxy" / SHARED_MEMORY).write_text(f"{name}\n")
    others = [owned(memory / "envoy_shared_memory_150000", OTHER), owned(memory / "database", AGENT)]
    purge()
    assert listed(memory) == sorted(others)
    assert (root / "etc/passwd").exists()


def test_a_machine_on_which_the_agent_never_started_is_purged_too(
    root: Path, purge: Callable[[], None]
) -> None:
    files.directory(root / "var/lib/istio-agent", mode=0o755)
    purge()
    assert not (root / "etc/certs").exists()
    assert not (root / "var/lib/istio-agent").exists()


def test_a_place_that_is_mounted_keeps_nobody_from_purging_the_rest(
    root: Path, purge: Callable[[], None]
) -> None:
    """A file system of its own that came after the package, and one that is read-only."""
    (root / "var/log/istio").mkdir()
    (root / "var/lib/istio-agent").mkdir()
    (root / "var/lib/istio-agent/found").write_text(f"0 0 750 {Path('/etc/certs')}\n")
    own, sealed = root / "var/log/istio", root / "etc/certs"
    sealed.joinpath(".credential.next").write_text("of ours")
    subprocess.run(["mount", "-t", "tmpfs", "none", own], check=True)
    subprocess.run(["mount", "--bind", sealed, sealed], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", sealed], check=True)
    try:
        purge()
    finally:
        subprocess.run(["umount", own, sealed], check=True)
    assert own.exists()
    assert sealed.exists()
    assert not (root / "etc/istio").exists()
    assert not (root / "var/lib/istio-agent").exists()
