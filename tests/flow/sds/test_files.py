"""Certificates and roots in files that others look after, over a real socket."""

from pathlib import Path

import grpc
import grpc.aio

from tests.authority import Authority
from tests.flow.sds.conftest import HELD, Served
from tests.flow.sds.envoy import Envoy
from tests.flow.xds.machine import until
from vmagent.identity.credential import Credential
from vmagent.runtime.latest import Latest


def put(folder: Path, authority: Authority) -> tuple[bytes, bytes]:
    """A new pair. Returns chain and key."""
    key, chain = authority.server()
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return chain, key


async def test_a_pair_and_a_root_in_files_are_served_and_each_change_of_them(
    channel: grpc.aio.Channel, tmp_path: Path, authority: Authority
) -> None:
    """Without a credential of our own: DestinationRules do not wait for that."""
    chain, key = put(tmp_path, authority)
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    pair, root = f"file-cert:{tmp_path}/chain.pem~{tmp_path}/key.pem", f"file-root:{tmp_path}/root.pem"
    certificate, trust = Envoy(channel), Envoy(channel)
    certificate.ask(pair)
    trust.ask(root)
    [found], [roots] = await certificate.hear(), await trust.hear()
    assert (found.name, roots.name) == (pair, root)
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert found.tls_certificate.private_key.inline_bytes == key
    assert roots.validation_context.trusted_ca.inline_bytes == authority.root_pem
    certificate.acknowledge(pair)
    trust.acknowledge(root)

    chain, key = put(tmp_path, authority)
    [found] = await certificate.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert found.tls_certificate.private_key.inline_bytes == key
    other = Authority("other").root_pem
    (tmp_path / "root.pem").write_bytes(other)
    [roots] = await trust.hear()
    assert roots.validation_context.trusted_ca.inline_bytes == other


async def test_a_pair_that_is_missing_is_denied_by_name_and_served_when_it_is_there(
    served: Served, credentials: Latest[Credential], tmp_path: Path, authority: Authority
) -> None:
    credentials.publish(HELD)
    pair = "file-cert:chain.pem~key.pem"
    mine, ours = Envoy(served.channel), Envoy(served.channel)
    mine.ask(pair)
    why = f"{tmp_path}/chain.pem does not exist; put it there, or correct its name"
    assert await mine.denied() == why
    assert served.secrets.trouble == why
    ours.ask("default")
    assert [secret.name for secret in await ours.hear()] == ["default"]
    chain, _ = put(tmp_path, authority)
    [found] = await mine.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert served.secrets.trouble == ""
    assert served.secrets.summary.startswith("1 from files, the first certificate expires at 20")
    assert [*served.secrets.expiries] == [pair]


async def test_what_a_file_holds_is_served_only_if_it_is_a_certificate(
    served: Served, tmp_path: Path
) -> None:
    """Whoever writes configuration names the file; that does not let him read it."""
    (tmp_path / "shadow").write_text("root:hunter2:19000\n")
    nosy = Envoy(served.channel)
    nosy.ask("file-root:shadow")
    why = await nosy.denied()
    assert "shadow holds no certificate, or damaged ones only" in why
    assert "hunter2" not in why + served.secrets.trouble


async def test_a_file_that_nobody_asks_for_any_more_is_not_looked_after(
    served: Served, tmp_path: Path, authority: Authority
) -> None:
    put(tmp_path, authority)
    envoy = Envoy(served.channel)
    envoy.ask("file-cert:chain.pem~key.pem")
    await envoy.hear()
    assert served.secrets.expiries
    await envoy.leave()
    await until(lambda: not served.secrets.expiries)


async def test_a_name_that_was_dropped_and_wanted_again_is_served_afresh(
    served: Served, credentials: Latest[Credential], tmp_path: Path, authority: Authority
) -> None:
    credentials.publish(HELD)
    pair = "file-cert:chain.pem~key.pem"
    put(tmp_path, authority)
    envoy = Envoy(served.channel)
    envoy.ask("default", pair)
    assert [secret.name for secret in await envoy.hear()] == ["default"]
    assert [secret.name for secret in await envoy.hear()] == [pair]
    envoy.acknowledge("default")
    await until(lambda: not served.secrets.expiries)
    chain, _ = put(tmp_path, authority)
    envoy.acknowledge("default", pair)
    [found] = await envoy.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain


async def test_trouble_of_many_files_is_told_in_one_line_of_bounded_length(served: Served) -> None:
    envoys = [Envoy(served.channel) for _ in range(7)]
    for number, envoy in enumerate(envoys):
        envoy.ask(f"file-root:{number}.pem")
        await envoy.denied()
    assert served.secrets.trouble.count("does not exist") == 5
    assert served.secrets.trouble.endswith("; and 2 more")
    assert served.secrets.summary == ""
