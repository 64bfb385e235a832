import pytest

from lab.controlplane.api_paths import target
from lab.controlplane.http import BadRequest, parse_head


def read(path: str) -> tuple[str, str | None, str | None, str] | None:
    found = target(tuple(path.strip("/").split("/")))
    return (found.kind.kind, found.namespace, found.name, found.subresource) if found else None


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("/api/v1/namespaces", ("Namespace", None, None, "")),
        ("/api/v1/namespaces/shop", ("Namespace", None, "shop", "")),
        ("/api/v1/pods", ("Pod", None, None, "")),
        ("/api/v1/namespaces/shop/configmaps/istio", ("ConfigMap", "shop", "istio", "")),
        ("/api/v1/namespaces/shop/serviceaccounts/vm/token", ("ServiceAccount", "shop", "vm", "token")),
        (
            "/apis/networking.istio.io/v1beta1/namespaces/shop/workloadentries",
            ("WorkloadEntry", "shop", None, ""),
        ),
        ("/apis/networking.istio.io/v1/serviceentries", ("ServiceEntry", None, None, "")),
        ("/apis/networking.istio.io/v1alpha3/namespaces/shop/gateways/a", ("Gateway", "shop", "a", "")),
        (
            "/apis/security.istio.io/v1/namespaces/shop/peerauthentications/default",
            ("PeerAuthentication", "shop", "default", ""),
        ),
        ("/api/v1/namespaces/shop/services/books", ("Service", "shop", "books", "")),
        ("/apis/apps/v1/namespaces/shop/deployments", ("Deployment", "shop", None, "")),
        ("/apis/discovery.k8s.io/v1/endpointslices", ("EndpointSlice", None, None, "")),
    ],
)
def test_a_path_of_kubernetes_means_what_it_means_there(path: str, meaning: object) -> None:
    assert read(path) == meaning


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/pods",
        "/api/v1/deployments",
        "/api/v1/pods/one",
        "/api/v1/namespaces/shop/pods/one/log/more",
        "/api/v1/namespaces/shop/namespaces/x",
        "/apis/networking.istio.io/v2/serviceentries",
        "/apis/networking.istio.io",
    ],
)
def test_other_paths_mean_nothing(path: str) -> None:
    assert read(path) is None


def test_a_request_head_is_method_target_and_length() -> None:
    assert parse_head(b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n") == ("GET", "/x?y=1", 0)
    assert parse_head(b"PUT / HTTP/1.0\r\ncontent-LENGTH: 12\r\n\r\n") == ("PUT", "/", 12)


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_head_that_cannot_be_read_is_a_bad_request(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_head(head)
