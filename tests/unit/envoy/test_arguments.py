import shlex
from pathlib import Path

import pytest
import yaml

from tests.unit.envoy.examples import VM, vm
from vmagent.envoy.arguments import (
    MAX_OVERRIDE,
    arguments,
    base_id,
    bootstrap_path,
    environment,
    shared_memory,
)
from vmagent.envoy.config import Ports, Timing
from vmagent.errors import Misconfigured


def merged(argv: list[str]) -> object:
    return yaml.safe_load(argv[argv.index("--config-yaml") + 1])


def test_the_whole_command_line() -> None:
    assert shlex.join(arguments(VM)) == (
        "/usr/local/bin/envoy -c /etc/istio/proxy/envoy-rev0.json --base-id 15000 --restart-epoch 0"
        " --drain-time-s 45 --drain-strategy immediate --parent-shutdown-time-s 60"
        " --local-address-ip-version v4 --file-flush-interval-msec 1000"
        " --log-path /dev/stderr --allow-unknown-static-fields"
        " -l warning --skip-deprecated-logs"
    )


def test_everything_that_can_be_asked_for() -> None:
    config = vm(
        binary=Path("/opt/envoy"),
        ips=("fd00::1",),
        timing=Timing(drain=30, parent_shutdown=40, file_flush=0.5),
        file_flush_min_kb=64,
        log_level="info",
        component_log_levels=("upstream:debug", "misc:error"),
        skip_deprecated_logs=False,
        core_dump=True,
        concurrency=2,
        host_ip="fd00::2",
        ports=Ports(admin=25000),
    )
    assert shlex.join(arguments(config, epoch=3, override='{"a": "[$(HOST_IP)]:1 $(HOST_IP)"}')) == (
        "/opt/envoy -c /etc/istio/proxy/envoy-rev3.json --base-id 25000 --restart-epoch 3"
        " --drain-time-s 30 --drain-strategy immediate --parent-shutdown-time-s 40"
        " --local-address-ip-version v6 --file-flush-interval-msec 500"
        " --log-path /dev/stderr --allow-unknown-static-fields"
        " --file-flush-min-size-kb 64 -l info --component-log-level upstream:debug,misc:error"
        """ --enable-core-dump --config-yaml '{"a": "[fd00::2]:1 [fd00::2]"}' --concurrency 2"""
    )


def test_a_custom_file_is_envoys_configuration_but_for_the_restart_epoch() -> None:
    own = vm(custom_config_file=Path("/etc/mine.yaml"), host_ip="fd00::2")
    argv = arguments(own, epoch=3)
    assert argv[1:3] == ["-c", "/etc/mine.yaml"]
    assert merged(argv) == {"node": {"metadata": {"VMAGENT_EPOCH": "3"}}}
    node = {"id": "[fd00::2]:1", "metadata": {"VMAGENT_EPOCH": "0"}}
    assert merged(arguments(own, override="node: {id: '$(HOST_IP):1'}")) == {"node": node}


def test_a_parent_is_ended_only_after_it_has_drained() -> None:
    assert Timing().parent_shutdown > Timing().drain


def test_two_agents_on_one_machine_do_not_meet() -> None:
    assert base_id(VM) != base_id(vm(ports=Ports(admin=25000)))
    assert shared_memory(VM) == Path("/dev/shm/envoy_shared_memory_150000")
    assert bootstrap_path(VM, 0) != bootstrap_path(VM, 1)


def test_an_override_that_no_command_line_can_carry_is_refused() -> None:
    with pytest.raises(Misconfigured, match="ISTIO_BOOTSTRAP_OVERRIDE"):
        arguments(VM, override="x" * (MAX_OVERRIDE + 1))


def test_beside_a_custom_file_it_must_leave_room_for_the_epoch() -> None:
    fits = "a: " + "x" * (MAX_OVERRIDE - 3)
    assert fits in arguments(VM, override=fits)
    with pytest.raises(Misconfigured, match="is larger than"):
        arguments(vm(custom_config_file=Path("/etc/mine.yaml")), override=fits)


def test_an_override_without_a_host_address_goes_as_it_is() -> None:
    assert "$(HOST_IP)" in arguments(VM, override="$(HOST_IP)")


def test_envoy_gets_the_environment_it_was_given_and_nothing_else() -> None:
    assert environment(VM) == {"PATH": "/usr/bin:/bin"}
    assert set(environment(vm(fips=True))) == {"PATH", "GRPC_SSL_CIPHER_SUITES"}
