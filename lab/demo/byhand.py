"""The older document: a VM without an agent, which the operator writes down; then a pod takes over."""

from functools import partial

from lab.demo.names import CURL, DOCKER_ANSWER, VM_ANSWER
from lab.demo.stage import Stage, expect
from lab.demo.traffic import count

FILES = "../03-manual-workload-entry"
NAME = "xxx.jd.com"


def written_down(stage: Stage) -> None:
    stage.note("no agent runs on the VM now; nginx still does")
    stage.mesh(f"apply -f {FILES}/serviceentry.yaml")
    stage.mesh(f"apply -f {FILES}/workloadentry.yaml")
    stage.until(
        "the client reaches it", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} {NAME}"), within=5
    )
    ping = stage.type("client", f"ping -c1 -W1 {NAME}", check=False, lines=1)
    expect("(240.240." in ping, "no address of the mesh")
    stage.type("client", f"{CURL} {NAME}")
    stage.mesh(f"apply -f {FILES}/pod.yaml")
    stage.until("both answer", partial(_answering, stage, 2), within=5)
    count(stage, "client", 100, name=NAME)
    stage.mesh(f"apply -f {FILES}/routing.yaml")
    stage.until("the pod alone answers", partial(_answering, stage, 1), within=5)
    answers = count(stage, "client", 100, name=NAME)
    expect(answers == {DOCKER_ANSWER: 100}, f"the rule sends everything to the pod, but: {dict(answers)}")


def _answering(stage: Stage, backends: int) -> bool:
    return len(count(stage, "client", 20, name=NAME, show=False)) == backends
