"""What crosses the mesh: the first request, names of both worlds, two backends, routing rules."""

import re
from collections import Counter
from functools import partial

from lab.demo.names import (
    CLIENT_NAME,
    CURL,
    DOCKER_ANSWER,
    GET_ENTRY,
    OUTSIDE_ANSWER,
    STATUS_AND_SECONDS,
    VM_ANSWER,
    VM_NAME,
)
from lab.demo.stage import Stage, expect
from lab.hosts import services

ENDPOINT = "curl -sS localhost:15000/clusters | grep -F '192.168.0.204:80::health_flags'"
"""Whether the client's Envoy has the VM among its endpoints."""


def healthy(stage: Stage) -> None:
    stage.mesh("apply -f serviceentry.yaml")
    stage.until(
        "the entry says Unhealthy while nothing listens",
        lambda: "status: 'False'" in stage.mesh_quietly(GET_ENTRY),
        within=10,
    )
    stage.mesh(GET_ENTRY, since="status:")
    expect("192.168.0.204" not in stage.quietly("client", ENDPOINT), "the client got an unhealthy endpoint")
    stage.note("nginx starts on the VM")
    stage.services["nginx"] = services.start_application(stage.lab.host("vm"))
    stage.until(
        "the entry says Healthy", lambda: "status: 'True'" in stage.mesh_quietly(GET_ENTRY), within=10
    )
    stage.mesh(GET_ENTRY, since="status:")
    stage.until(
        "the client's Envoy has the endpoint",
        lambda: "192.168.0.204" in stage.quietly("client", ENDPOINT),
        within=5,
    )
    stage.type("client", ENDPOINT)


def request(stage: Stage) -> None:
    ping = stage.type("client", "ping -c1 -W1 nginx.jd.com", check=False)
    expect(re.search(r"PING nginx\.jd\.com \(240\.240\.\d+\.\d+\)", ping) is not None, "no 240.240 address")
    answer = stage.type("client", f"{CURL} nginx.jd.com")
    expect(answer.strip() == VM_ANSWER, f"unexpected answer: {answer.strip()!r}")
    stage.note("whose certificate did the VM's Envoy see? It tells the application in a header")
    seen = stage.type("vm", f"tail -n1 {services.ACCESS_LOG}")
    expect(f"URI={CLIENT_NAME}" in seen and f"By={VM_NAME}" in seen, "the VM's Envoy saw another name")
    stage.note("and did the client's Envoy speak TLS?")
    stats = stage.type("client", "curl -sS 'localhost:15000/stats?filter=nginx.jd.com.*ssl.handshake'")
    shaken = re.search(r"outbound\|80\|\|nginx\.jd\.com.*ssl\.handshake: (\d+)", stats)
    expect(shaken is not None and int(shaken[1]) > 0, "no TLS handshake was counted")


def outside(stage: Stage) -> None:
    for host in ("vm", "client"):
        stage.type(host, "cat /etc/resolv.conf", lines=1)
        reached_outside(stage, host)


def reached_outside(stage: Stage, host: str) -> None:
    answer = stage.type(host, f"{CURL} outside.example")
    expect(answer.strip() == OUTSIDE_ANSWER, f"{host} did not reach outside.example: {answer!r}")


def two_backends(stage: Stage) -> None:
    stage.services["docker"] = services.start_application(stage.lab.host("docker"))
    stage.mesh("apply -f docker-pod.yaml")
    for host in ("client", "vm"):
        stage.until(f"both answer {host}", partial(_both_answer, stage, host), within=5)
        answers = count(stage, host, 100)
        expect(min(answers[VM_ANSWER], answers[DOCKER_ANSWER]) >= 20, f"{host}: one of the two is starved")


def count(
    stage: Stage, host: str, requests: int, *, name: str = "nginx.jd.com", show: bool = True
) -> Counter[str]:
    """Ask so often, and count who answered what."""
    command = f"{CURL} 'http://{name}/[1-{requests}]' | sort | uniq -c"
    printed = stage.type(host, command) if show else stage.quietly(host, command)
    answers: Counter[str] = Counter()
    for line in printed.splitlines():
        number, _, answer = line.strip().partition(" ")
        answers[answer] += int(number)
    return answers


def routed(stage: Stage) -> None:
    for vm, docker in ((100, 0), (0, 100), (50, 50)):
        route(stage, vm, docker)
        for host in ("client", "vm"):
            stage.until(
                f"{host} follows the rule",
                partial(_routed, stage, host, vm),
                within=5,
            )
            answers = count(stage, host, 100)
            expect(sum(answers.values()) == 100, f"{host}: not every request was answered")
            share = answers[VM_ANSWER]
            # Fifty-fifty is drawn by lot: 20 to 80 of 100 is six standard deviations wide on each side.
            fits = 20 <= share <= 80 if vm == 50 else share == vm
            expect(fits, f"{host}: {share} of 100 went to the VM, {vm} were to")


def _both_answer(stage: Stage, host: str) -> bool:
    return len(count(stage, host, 20, show=False)) == 2


def _routed(stage: Stage, host: str, vm: int) -> bool:
    return _follows(count(stage, host, 20, show=False), vm)


def _follows(answers: Counter[str], vm: int) -> bool:
    if vm == 50:
        return len(answers) == 2
    return answers[VM_ANSWER] == sum(answers.values()) * vm // 100


def route(stage: Stage, vm: int, docker: int) -> None:
    """The document's routing rules with these weights."""
    stage.mesh_with("routing.yaml", {"weight: 100": f"weight: {vm}", "weight: 0": f"weight: {docker}"})


def other_direction(stage: Stage) -> None:
    stage.mesh("apply -f docker-service.yaml")
    stage.until(
        "the VM reaches the pod",
        lambda: DOCKER_ANSWER in stage.quietly("vm", f"{CURL} docker.jd.com"),
        within=5,
    )
    ping = stage.type("vm", "ping -c1 -W1 docker.jd.com", check=False, lines=1)
    expect("(240.240." in ping, "the pod's service has no address of the mesh on the VM")
    stage.type("vm", f"{CURL} docker.jd.com")


def unhealthy(stage: Stage) -> None:
    route(stage, 100, 0)
    stage.until("all to the VM", partial(_routed, stage, "client", 100), within=5)
    stage.note("nginx stops on the VM")
    stage.stop("nginx")
    stage.until(
        "the entry says Unhealthy", lambda: "status: 'False'" in stage.mesh_quietly(GET_ENTRY), within=10
    )
    stage.until(
        "the endpoint leaves the client's Envoy",
        lambda: "192.168.0.204" not in stage.quietly("client", ENDPOINT),
        within=5,
    )
    status, seconds = stage.type("client", f"{STATUS_AND_SECONDS} nginx.jd.com").split()
    expect(status == "503" and float(seconds) < 1, f"expected 503 at once, got {status} after {seconds} s")
    stage.note("and starts again")
    stage.services["nginx"] = services.start_application(stage.lab.host("vm"))
    took = stage.until(
        "back", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=10
    )
    stage.note(f"answers again after {took:.1f} s")
