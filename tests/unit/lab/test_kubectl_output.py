"""What ``kubectl get -o yaml`` prints of a running cluster can be dropped in as it is."""

from collections.abc import Mapping

import yaml

from lab.controlplane.accounts import account_problem
from lab.controlplane.kinds.kubernetes_service import KubernetesService
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.services import services
from lab.controlplane.tokens import ServiceAccount
from lab.controlplane.workloads import Workloads

METADATA = """
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Whatever"}'
    creationTimestamp: "2021-05-22T13:54:10Z"
    managedFields:
    - apiVersion: v1
      fieldsType: FieldsV1
      fieldsV1: {"f:spec": {"f:ports": {}}}
      manager: kubectl-client-side-apply
      operation: Update
      time: "2021-05-22T13:54:10Z"
    namespace: shop
    ownerReferences:
    - {apiVersion: v1, kind: Other, name: other, uid: 0d7a}
    resourceVersion: "4711"
    selfLink: /api/v1/whatever
    uid: 5851164e-7b1c-4bb1-a0f1-1b2a8c0a54a1
"""


def item(kind: str, name: str, rest: str, version: str = "v1", labels: Mapping[str, str] = {}) -> str:
    metadata = (
        METADATA + f"    name: {name}\n    labels: {yaml.safe_dump(dict(labels), default_flow_style=True)}"
    )
    return f"\n- apiVersion: {version}\n  kind: {kind}{metadata.rstrip()}{rest}"


SERVICE = item(
    "Service",
    "books",
    """
  spec:
    allocateLoadBalancerNodePorts: true
    clusterIP: 10.96.3.4
    clusterIPs:
    - 10.96.3.4
    externalTrafficPolicy: Cluster
    internalTrafficPolicy: Cluster
    ipFamilies:
    - IPv4
    ipFamilyPolicy: SingleStack
    ports:
    - name: http
      nodePort: 31380
      port: 80
      protocol: TCP
      targetPort: web
    selector:
      app: books
    sessionAffinity: None
    type: LoadBalancer
  status:
    loadBalancer:
      ingress:
      - ip: 203.0.113.7""",
)
HEADLESS = item(
    "Service",
    "store",
    """
  spec:
    clusterIP: None
    clusterIPs: [None]
    ports: [{name: mongo, port: 27017, protocol: TCP, targetPort: 27017}]
    selector: {app: store}
    type: ClusterIP
  status: {loadBalancer: {}}""",
)
POD = item(
    "Pod",
    "books-5d4c",
    """
  spec:
    containers:
    - image: books:1
      imagePullPolicy: Always
      name: books
      ports:
      - containerPort: 8080
        name: web
        protocol: TCP
      resources: {}
      terminationMessagePath: /dev/termination-log
      volumeMounts:
      - {mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: token, readOnly: true}
    dnsPolicy: ClusterFirst
    nodeName: worker-1
    serviceAccount: reader
    serviceAccountName: reader
    tolerations: [{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists}]
  status:
    conditions:
    - {lastProbeTime: null, lastTransitionTime: "2021-05-22T13:54:20Z", status: "True", type: Ready}
    hostIP: 192.168.0.5
    phase: Running
    podIP: 10.244.1.7
    podIPs: [{ip: 10.244.1.7}]
    qosClass: BestEffort""",
    labels={"app": "books", "security.istio.io/tlsMode": "istio"},
)
SLICE = item(
    "EndpointSlice",
    "books-x7",
    """
  addressType: IPv4
  endpoints:
  - addresses: [10.244.1.7]
    conditions: {ready: true, serving: true, terminating: false}
    nodeName: worker-1
    targetRef: {kind: Pod, name: books-5d4c, namespace: shop, uid: 99}
  - addresses: [10.244.1.8]
    conditions: {ready: false, serving: false, terminating: true}
    targetRef: {kind: Pod, name: books-gone, namespace: shop, uid: 98}
  ports:
  - {name: http, port: 8080, protocol: TCP}""",
    version="discovery.k8s.io/v1",
    labels={"kubernetes.io/service-name": "books"},
)
ENDPOINTS = item(
    "Endpoints",
    "books",
    """
  subsets:
  - addresses:
    - ip: 10.244.1.7
      nodeName: worker-1
      targetRef: {kind: Pod, name: books-5d4c, namespace: shop}
    notReadyAddresses:
    - ip: 10.244.1.8
    ports:
    - {name: http, port: 8080, protocol: TCP}""",
)
DEPLOYMENT = item(
    "Deployment",
    "books",
    """
  spec:
    progressDeadlineSeconds: 600
    replicas: 1
    selector: {matchLabels: {app: books}}
    strategy: {type: RollingUpdate}
    template:
      metadata: {creationTimestamp: null, labels: {app: books}}
      spec: {containers: [{name: books, image: "books:1"}], serviceAccountName: reader}
  status: {availableReplicas: 1, observedGeneration: 1}""",
    version="apps/v1",
)
ACCOUNT = item("ServiceAccount", "reader", "\n  secrets:\n  - name: reader-token-x7")
NAMESPACE = """
- apiVersion: v1
  kind: Namespace
  metadata:
    creationTimestamp: "2021-05-22T13:54:10Z"
    labels: {kubernetes.io/metadata.name: shop, istio-injection: enabled}
    name: shop
    resourceVersion: "12"
    uid: 0d7a
  spec: {finalizers: [kubernetes]}
  status: {phase: Active}"""
ROLE = item("Role", "reader", "\n  rules: []", version="rbac.authorization.k8s.io/v1")


def printed(*items: str) -> str:
    return f"apiVersion: v1\nitems:{''.join(items)}\nkind: List\nmetadata: {{resourceVersion: ''}}\n"


def world(*items: str) -> World:
    parsed = parse(printed(*items), file="kubectl.yaml")
    assert parsed.warnings == ()
    return World.of(parsed.resources)


def test_a_list_of_a_whole_namespace_is_taken_without_a_word() -> None:
    found = world(NAMESPACE, SERVICE, HEADLESS, POD, SLICE, ENDPOINTS, DEPLOYMENT, ACCOUNT)
    assert [key[0] for key in found.resources] == [
        *("Namespace", "Service", "Service", "Pod", "EndpointSlice", "Endpoints", "Deployment"),
        "ServiceAccount",
    ]


def test_what_an_address_book_has_no_use_for_is_set_aside_by_name() -> None:
    parsed = parse(printed(ROLE, SERVICE), file="kubectl.yaml")
    assert [each.KIND for each in parsed.resources] == ["Service"]
    (warning,) = parsed.warnings
    assert "Role reader (rbac.authorization.k8s.io/v1) is set aside" in warning


def test_slices_and_endpoints_together_count_once_and_name_the_pod_behind_an_address() -> None:
    found = world(NAMESPACE, SERVICE, POD, SLICE, ENDPOINTS)
    (service,), problems = services(found, Mesh())
    assert problems == ()
    assert (service.host, service.addresses) == ("books.shop.svc.cluster.local", ("10.96.3.4",))
    ready, leaving = Workloads(found, Mesh()).behind(service)
    (port,) = service.ports
    assert (ready.address, ready.port(port), ready.account) == ("10.244.1.7", 8080, "shop/reader")
    assert (ready.tls_mode, ready.serving) == ("istio", True)
    assert (leaving.address, leaving.serving) == ("10.244.1.8", False)


def test_without_either_the_pods_that_a_service_selects_stand_behind_it() -> None:
    found = world(SERVICE, POD)
    (service,), _ = services(found, Mesh())
    (only,) = Workloads(found, Mesh()).behind(service)
    assert (only.address, only.port(service.ports[0])) == ("10.244.1.7", 8080)


def test_a_service_without_an_address_is_headless() -> None:
    (service,) = world(HEADLESS).all(KubernetesService)
    assert service.headless
    assert service.addresses == ()


def test_a_service_account_that_nobody_made_gets_no_token() -> None:
    found = world(NAMESPACE, ACCOUNT)
    assert account_problem(found, ServiceAccount("shop", "reader")) == ""
    assert account_problem(found, ServiceAccount("shop", "writer"))
    assert account_problem(found, ServiceAccount("nowhere", "reader"))
