import pytest

from tests.unit.capture.cases import TYPICAL, TwoAccounts
from vmagent.capture.config import CaptureConfig, parse
from vmagent.errors import Misconfigured


def read(**env: str) -> CaptureConfig:
    return parse(env, TwoAccounts())


def refusal(**env: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        read(**env)
    return str(caught.value)


def test_uid_and_gid_are_looked_up_and_may_differ() -> None:
    assert (read().uids, read().gids) == ((998,), (996,))
    assert (read(ENVOY_USER="envoy").uids, read(ENVOY_USER="envoy").gids) == ((113,), (114,))


def test_an_unknown_user_is_an_error_and_never_1337() -> None:
    assert "ENVOY_USER='nobody-here': no such user" in refusal(ENVOY_USER="nobody-here")


def test_a_uid_outside_the_user_database_needs_its_gid_told() -> None:
    assert "PROXY_GID='': uid 4101 is in no user database" in refusal(PROXY_UID="4101")
    assert read(PROXY_UID="4101", PROXY_GID="4102").gids == (4102,)


def test_a_known_uid_brings_its_primary_group() -> None:
    assert read(PROXY_UID="998").gids == (996,)


def test_groups_may_be_named() -> None:
    assert read(ISTIO_OUTBOUND_OWNER_GROUPS="backup, 202").groups == (34, 202)
    assert "there is no group 'ghosts'" in refusal(ISTIO_OUTBOUND_OWNER_GROUPS="ghosts")


def test_an_empty_group_list_captures_nobody_while_an_unset_one_captures_everybody() -> None:
    assert read(ISTIO_OUTBOUND_OWNER_GROUPS="").groups == ()
    assert read().groups == "*"


def test_more_groups_than_one_rule_can_hold_are_refused() -> None:
    assert "65 groups are too many" in refusal(
        ISTIO_OUTBOUND_OWNER_GROUPS=",".join(str(gid) for gid in range(65))
    )


def test_nothing_is_captured_unless_asked_for() -> None:
    config = read()
    assert (config.inbound, config.networks, config.outbound_ports, config.dns) == ((), (), (), False)


def test_what_istioctl_writes_is_understood() -> None:
    config = parse(TYPICAL, TwoAccounts())
    assert (config.inbound, config.networks, config.dns) == ("*", "*", True)
    assert config.inbound_exclude == ("22", "15090", "15021", "15020")


def test_every_wrong_value_is_named_with_its_file_in_one_error() -> None:
    env = {"ISTIO_INBOUND_PORTS": "80,http", "ISTIO_META_DNS_CAPTURE": "yes", "ENVOY_PORT": "0"}
    with pytest.raises(Misconfigured) as caught:
        parse(env, TwoAccounts(), {"ISTIO_INBOUND_PORTS": "/var/lib/istio/envoy/cluster.env:3"})
    message = str(caught.value)
    assert (
        "/var/lib/istio/envoy/cluster.env:3: ISTIO_INBOUND_PORTS='80,http': 'http' is not a port" in message
    )
    assert "ISTIO_META_DNS_CAPTURE='yes': expected true or false" in message
    assert "ENVOY_PORT='0'" in message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("ISTIO_SERVICE_CIDR", "10.0.0.1", "write 10.0.0.1/32"),
        ("ISTIO_SERVICE_CIDR", "10.0.0.0/33", "is not a network"),
        ("ISTIO_SERVICE_EXCLUDE_CIDR", "*", "is not a network"),
        ("ISTIO_LOCAL_EXCLUDE_PORTS", "9000:8000", "runs backwards"),
        ("ISTIO_LOCAL_EXCLUDE_PORTS", "65536", "is not a port"),
        ("ISTIO_EXCLUDE_INTERFACES", "eth0;reboot now", "is not an interface name"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8", "expected an IPv4 loopback network"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/7", "expected an IPv4 loopback network"),
        ("ISTIO_INBOUND_INTERCEPTION_MODE", "TPROXY", "not supported yet"),
        ("ISTIO_INBOUND_INTERCEPTION_MODE", "redirect", "expected REDIRECT"),
        ("KUBE_VIRT_INTERFACES", "tap0", "remove the setting"),
        ("FORCE_IPTABLES_BINARY", "nftables", "expected nft or legacy"),
        ("NATIVE_NFTABLES", "true", "not supported yet"),
        ("PROXY_GID", "ghosts", "there is no group"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_with_its_remedy(key: str, value: str, says: str) -> None:
    message = refusal(**{key: value})
    assert message.startswith(f"{key}={value!r}: ")
    assert says in message


def test_the_first_of_two_names_of_a_setting_counts() -> None:
    assert read(REDIRECT_DNS="false", ISTIO_META_DNS_CAPTURE="true").dns
    assert read(REDIRECT_DNS="true").dns
    assert read(INVALID_DROP="1").drop_invalid
    assert read(DUAL_STACK="true").dual_stack


def test_spaces_and_empty_items_in_lists_do_not_matter() -> None:
    assert read(ISTIO_INBOUND_PORTS=" 80, 443,,").inbound == ("80", "443")


def test_whoever_writes_the_rules_himself_needs_no_proxy_user() -> None:
    assert "the rules are yours" in read(ISTIO_CUSTOM_IP_TABLES="true", ENVOY_USER="nobody-here").left_alone


def test_nothing_is_captured_on_a_router_whatever_else_is_set() -> None:
    found = read(VMAGENT_ROLE="router", ISTIO_INBOUND_PORTS="*", ENVOY_USER="nobody-here")
    assert found.left_alone == "this is a router: it has ports of its own, no traffic is redirected to it"
    assert not read(VMAGENT_ROLE="sidecar", ISTIO_INBOUND_PORTS="*").left_alone
