"""A mesh of two machines, vm and client, that both have joined and captured, put up as the demo does it.

Does not:  say what befalls them: each module of this folder does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from lab.demo import joining
from lab.demo.names import CONFIGURE, INSTALL
from lab.demo.stage import SCENARIO, Failed, Stage
from lab.hosts import services
from lab.hosts.lab import Lab
from lab.hosts.world import ISTIOD, Families, address6
from tests.staging import staged

HOSTS = ("vm", "client")
SETTINGS = "/var/lib/istio/envoy/cluster.env"


@contextmanager
def two_machines(
    name: str,
    *,
    begin: Callable[[Stage], None],
    settings: Mapping[str, str] | None = None,
    before: Callable[[Stage], None] | None = None,
    families: Mapping[str, Families] | None = None,
) -> Iterator[Stage]:
    """``begin`` starts the control plane; ``settings`` stand at the end of each machine's cluster.env;
    ``before`` happens when both have their files and no agent runs. With ``families``, istiod is known to
    both by its address of IPv6.
    """
    lab = Lab(name, families=families)
    configure = CONFIGURE.replace(ISTIOD, address6(ISTIOD)) if families else CONFIGURE
    with staged(lab) as stage:
        begin(stage)
        stage.services["nginx"] = services.start_application(lab.host("vm"))
        joining.describe(stage, configure)
        lab.host("istiod").copy_in(SCENARIO / "client-sidecar.yaml", "/tmp/client-sidecar.yaml")
        stage.type("istiod", f"{configure} -f client-sidecar.yaml -o client")
        stage.mesh("apply -f serviceentry.yaml")
        for host in HOSTS:
            stage.carry(host, "istiod", host)
            for command in INSTALL:
                stage.type(host, command.format(host))
            for key, value in (settings or {}).items():
                lab.host(host).append(SETTINGS, f"{key}='{value}'\n")
        if before:
            before(stage)
        for host in HOSTS:
            joining.start(stage, host)
        for host in HOSTS:
            joined(stage, host)
        yield stage


WHY = f"""
vmagent status
tail -n 60 {services.AGENT_LOG}
for at in 127.0.0.1 '[::1]'; do
    curl -gs --max-time 5 "http://$at:15000/init_dump"
    curl -gs --max-time 5 "http://$at:15000/stats" | grep -E 'update_(attempt|success)|warming_state'
done
"""


def joined(stage: Stage, host: str) -> None:
    """As long as a command in a host may take, for each of the two: the machine may be a busy one. Where that
    is not enough, it says what it waits for.
    """
    try:
        stage.type(host, "vmagent wait --timeout 55")
        stage.type(host, "vmagent wait --timeout 55 capture")
    except Failed:
        stage.type(host, WHY, check=False, lines=400)
        raise
