"""What ``entry configure`` asks the Kubernetes API, over plain HTTP such as ``kubectl proxy`` serves.

Owns:      three requests and what their refusals mean.
Does not:  authenticate: kubectl proxy does.
"""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Final

from vmagent.config.model import Json
from vmagent.errors import Misconfigured, Refused, Unavailable

PATIENCE: Final = 15.0
"""Seconds for one answer, as istioctl's client timeout."""

LARGEST: Final = 4 << 20
"""Bytes of an answer: etcd holds objects of at most 1.5 MB."""

AUDIENCE: Final = "istio-ca"

_INSTEAD = "give --mesh-config, --root-cert and --token FILE instead of asking"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeApi:
    server: str

    def config_map(self, namespace: str, name: str, key: str) -> str:
        """One key of a ConfigMap. Raises ``Misconfigured``, ``Refused`` or ``Unavailable``."""
        found = self._ask(f"/api/v1/namespaces/{namespace}/configmaps/{name}", None)
        data = found.get("data")
        value = data.get(key) if isinstance(data, dict) else None
        if not isinstance(value, str):
            raise Misconfigured(f"configmap {namespace}/{name} at {self.server} has no {key}", hint=_INSTEAD)
        return value

    def token(self, namespace: str, service_account: str, seconds: int) -> str:
        """A token of the service account for istiod's CA. Secret."""
        spec: Json = {"audiences": [AUDIENCE], "expirationSeconds": seconds}
        found = self._ask(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        status = found.get("status")
        token = status.get("token") if isinstance(status, dict) else None
        if not isinstance(token, str) or not token:
            raise Refused(f"{self.server} answered without a token for {namespace}/{service_account}")
        return token

    def _ask(self, path: str, body: dict[str, Json] | None) -> dict[str, Json]:
        try:
            request = urllib.request.Request(
                self.server.rstrip("/") + path,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Accept": "application/json", "Content-Type": "application/json"},
            )
            # Proxies of the environment are for the Internet, not for the cluster's API.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=PATIENCE) as answer:
                found = json.loads(answer.read(LARGEST))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, path) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            reason = getattr(reason, "strerror", None) or reason
            raise Unavailable(
                f"the Kubernetes API at {self.server} does not answer: {reason}",
                hint=f"start kubectl proxy, set --server or VMAGENT_KUBE_SERVER, or {_INSTEAD}",
            ) from None
        except ValueError:
            raise Misconfigured(
                f"{self.server} is not a Kubernetes API", hint="set --server to what kubectl proxy serves"
            ) from None
        return found if isinstance(found, dict) else {}

    def _refusal(self, code: int, path: str) -> Exception:
        what = path.removeprefix("/api/v1/")
        if code == 404:
            hint = "create it first, or check the namespace and service account of the group"
            return Misconfigured(f"{self.server} has no {what}", hint=hint)
        if code in (401, 403):
            return Refused(
                f"{self.server} refuses {what} ({code})", hint="log in as somebody who may, or " + _INSTEAD
            )
        return Unavailable(f"{self.server} answers {code} for {what}", hint="try again, or " + _INSTEAD)
