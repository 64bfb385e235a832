"""The documents' main story as resources, and the two machines of it as xDS nodes."""

from envoy.config.core.v3 import base_pb2

from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.snapshot import Snapshot, build

SERVICE = """
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata:
  name: nginx
  namespace: istio-demo
spec:
  hosts:
  - nginx.jd.com
  location: MESH_INTERNAL
  ports:
  - name: http
    number: 80
    protocol: HTTP
  resolution: STATIC
  workloadSelector:
    labels:
      app: nginx
"""

GROUP = """
apiVersion: networking.istio.io/v1alpha3
kind: WorkloadGroup
metadata:
  name: nginx
  namespace: istio-demo
spec:
  metadata:
    labels:
      app: nginx
  template:
    serviceAccount: vm
    network: ""
  probe:
    httpGet:
      port: 80
"""

REGISTERED = """
apiVersion: networking.istio.io/v1beta1
kind: WorkloadEntry
metadata:
  annotations:
    istio.io/autoRegistrationGroup: nginx
    istio.io/connectedAt: "2021-05-22T13:54:10.93951642Z"
    istio.io/workloadController: istiod-77f7575d96-mxqxj
  generation: 1
  labels:
    app: nginx
    class: vm
    service.istio.io/canonical-name: nginx
    service.istio.io/canonical-version: latest
  name: nginx-192.168.0.204
  namespace: istio-demo
  ownerReferences:
  - apiVersion: networking.istio.io/v1alpha3
    controller: true
    kind: WorkloadGroup
    name: nginx
    uid: 5851164e-415d-4dd9-b0a8-27a9942a7995
spec:
  address: 192.168.0.204
  labels:
    app: nginx
    class: vm
    service.istio.io/canonical-name: nginx
    service.istio.io/canonical-version: latest
  serviceAccount: vm
"""

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: nginx-docker
  namespace: istio-demo
  labels: {app: nginx, class: docker}
spec:
  containers: [{name: nginx, image: nginx}]
status:
  podIP: 192.168.0.20
  conditions: [{type: Ready, status: "True"}]
"""

ROUTING = """
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {namespace: istio-demo, name: nginx-dr}
spec:
  host: nginx.jd.com
  subsets:
    - {name: vm, labels: {class: vm}}
    - {name: docker, labels: {class: docker}}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {namespace: istio-demo, name: nginx-vs}
spec:
  hosts: [nginx.jd.com]
  http:
    - name: http-nginx-route
      route:
        - {destination: {host: nginx.jd.com, subset: vm}, weight: VM}
        - {destination: {host: nginx.jd.com, subset: docker}, weight: DOCKER}
"""


def routing(*, vm: int, docker: int) -> str:
    return ROUTING.replace("weight: VM", f"weight: {vm}").replace("weight: DOCKER", f"weight: {docker}")


def world(*documents: str) -> World:
    text = "\n---\n".join(documents)
    return World.of(parse(text, file="story.yaml").resources)


def node(*, ip: str, name: str, **metadata: str) -> base_pb2.Node:
    made = base_pb2.Node(id=f"sidecar~{ip}~{name}.istio-demo~istio-demo.svc.cluster.local")
    known = {"NAMESPACE": "istio-demo", "SERVICE_ACCOUNT": "vm", "INSTANCE_IPS": ip, "DNS_CAPTURE": "true"}
    made.metadata.update({**known, **metadata})
    return made


CLIENT = Proxy.parse(node(ip="192.168.0.30", name="client"))
VM = Proxy.parse(node(ip="192.168.0.204", name="vm-204", AUTO_REGISTER_GROUP="nginx"))


def told(proxy: Proxy, *documents: str, mesh: Mesh | None = None) -> Snapshot:
    return build(world(*documents), proxy, mesh or Mesh())
