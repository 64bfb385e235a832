"""The Kubernetes-shaped API, on plain HTTP as ``kubectl proxy`` would serve it: whoever can reach it may do
anything.

Owns:      objects, token requests, Status errors, and what is below ``/debug``.
Does not:  read sockets (http.py), know paths (api_paths.py) or keep anything (store.py).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import yaml

from lab.controlplane import addresses
from lab.controlplane.accounts import account_problem, namespace_exists
from lab.controlplane.api_paths import Target, target
from lab.controlplane.builtins import Builtins
from lab.controlplane.documents import Document
from lab.controlplane.fault_api import BadFault, FaultApi
from lab.controlplane.http import HttpRequest, HttpResponse
from lab.controlplane.kinds.document import BadDocument, Place
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.mesh import Allocation
from lab.controlplane.registry import Key
from lab.controlplane.resources import parse
from lab.controlplane.store import NotThere, Store
from lab.controlplane.timestamps import SECOND, rfc3339
from lab.controlplane.tokens import ServiceAccount, TokenIssuer

DEFAULT_TOKEN_TTL: Final = 3600
LEAST_TOKEN_TTL: Final = 600
"""Seconds; an API server refuses to issue a token for less than ten minutes."""
MOST_TOKEN_TTL: Final = 1 << 32

_REASONS: Final = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Invalid",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLarge",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}


_REQUEST: Final = "the request"


def _without_place(text: str) -> str:
    """Whoever sent a document knows which one it was."""
    return text.removeprefix(f"{Place(file=_REQUEST, number=1)}: ")


class Failure(Exception):
    def __init__(self, status: HTTPStatus, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason or _REASONS.get(status, "")


def failure(status: HTTPStatus, message: str, reason: str = "") -> HttpResponse:
    """The Status object that kubectl turns into its error line."""
    body: Document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or _REASONS.get(status, ""),
        "code": status.value,
    }
    return HttpResponse(body=body, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    store: Store
    builtins: Builtins
    allocation: Allocation
    issuer: TokenIssuer
    audience: str
    """Of tokens for which nobody asked for another one."""
    syncz: Callable[[], Any]
    faults: FaultApi
    now: Callable[[], int]

    def handle(self, request: HttpRequest) -> HttpResponse:
        try:
            if request.path == ("debug", "syncz"):
                return HttpResponse(body=self.syncz())
            if request.path == ("healthz",):
                return HttpResponse(body="ok")
            if request.path[:2] == ("debug", "faults"):
                status, body = self.faults.handle(request.method, request.path[2:], lambda: _body(request))
                return HttpResponse(body=body, status=status)
            about = target(request.path)
            if about is None:
                raise Failure(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")
            if about.subresource:
                return self._token(about, request)
            return self._objects(about, request)
        except Failure as why:
            return failure(why.status, str(why), why.reason)
        except BadFault as why:
            return failure(HTTPStatus.UNPROCESSABLE_ENTITY, str(why))

    def _objects(self, about: Target, request: HttpRequest) -> HttpResponse:
        match request.method, about.name:
            case "GET", None:
                return HttpResponse(body=self._list(about))
            case "GET", _:
                return HttpResponse(body=self._get(about))
            case "POST", None:
                return self._create(about, _body(request))
            case "PUT", str():
                return self._replace(about, _body(request))
            case "DELETE", str():
                return self._delete(about)
            case _:
                raise Failure(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not served here")

    def _get(self, about: Target) -> Document:
        try:
            found = self.store.document(about.key)
        except NotThere:
            builtin = self.builtins.document(self.store.world, about.key)
            if builtin is None:
                raise Failure(
                    HTTPStatus.NOT_FOUND, f'{about.kind.qualified} "{about.name}" not found'
                ) from None
            found = builtin
        return {**found, **self._status(about.key), "apiVersion": about.version}

    def _status(self, key: Key) -> Document:
        """Handed-out addresses lie where they are kept by whoever keeps the document."""
        resource = self.store.world.resources.get(key)
        if not isinstance(resource, ServiceEntry) or self.allocation is not Allocation.NEXT_FREE:
            return {}
        given = addresses.status(resource, self.store.world.leases)
        return {"status": {"addresses": given}} if given else {}

    def _list(self, about: Target) -> Document:
        world, kind = self.store.world, about.kind.kind
        keys = dict.fromkeys(key for key in world.resources if key[0] == kind)
        keys |= dict.fromkeys(self.builtins.keys(world, kind, about.namespace))
        shown = sorted(key for key in keys if about.namespace in (None, key[1]))
        one = [Target(kind=about.kind, version=about.version, namespace=key[1], name=key[2]) for key in shown]
        return {
            "apiVersion": about.version,
            "kind": f"{kind}List",
            "metadata": {"resourceVersion": str(self.store.version)},
            "items": [self._get(each) for each in one],
        }

    def _create(self, about: Target, document: Document) -> HttpResponse:
        single = self._single(about, document)
        if single.key in self.store.world.resources:
            text = f'{about.kind.qualified} "{single.name}" already exists'
            raise Failure(HTTPStatus.CONFLICT, text, "AlreadyExists")
        return self._write(single, document, HTTPStatus.CREATED)

    def _replace(self, about: Target, document: Document) -> HttpResponse:
        current = self._get(about)
        expected = document.get("metadata", {}).get("resourceVersion")
        actual = current["metadata"].get("resourceVersion")
        if expected and actual and expected != actual:
            text = f'{about.kind.qualified} "{about.name}": the object has been modified'
            raise Failure(HTTPStatus.CONFLICT, text, "Conflict")
        return self._write(self._single(about, document), document, HTTPStatus.OK)

    def _delete(self, about: Target) -> HttpResponse:
        try:
            self.store.delete(about.key)
        except NotThere:
            raise Failure(HTTPStatus.NOT_FOUND, f'{about.kind.qualified} "{about.name}" not found') from None
        return HttpResponse(body={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    def _single(self, about: Target, document: Document) -> Target:
        """The object that a document sent to ``about`` is; path and document must not disagree."""
        metadata = document.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(name, str) or not name:
            raise Failure(HTTPStatus.UNPROCESSABLE_ENTITY, "metadata.name: write a name")
        namespace = (metadata or {}).get("namespace", about.namespace)
        agrees = (
            document.get("kind") == about.kind.kind
            and document.get("apiVersion") in about.kind.versions
            and about.name in (None, name)
            and (not about.kind.namespaced or namespace == about.namespace)
        )
        if not agrees:
            raise Failure(HTTPStatus.BAD_REQUEST, "kind, apiVersion, name or namespace differ from the path")
        return Target(kind=about.kind, version=about.version, namespace=about.namespace, name=name)

    def _write(self, about: Target, document: Document, done: HTTPStatus) -> HttpResponse:
        metadata = {**document["metadata"]}
        if about.namespace is not None:
            metadata["namespace"] = about.namespace
        for of_the_server in ("resourceVersion", "creationTimestamp", "managedFields"):
            metadata.pop(of_the_server, None)
        text = yaml.safe_dump({**document, "metadata": metadata})
        try:
            parsed = parse(text, file=_REQUEST)
            self.store.apply(text)
        except BadDocument as why:
            raise Failure(HTTPStatus.UNPROCESSABLE_ENTITY, _without_place(str(why))) from why
        warnings = tuple(_without_place(each) for each in parsed.warnings)
        return HttpResponse(body=self._get(about), status=done, warnings=warnings)

    def _token(self, about: Target, request: HttpRequest) -> HttpResponse:
        if (about.kind.kind, about.subresource, request.method) != ("ServiceAccount", "token", "POST"):
            raise Failure(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")
        account = ServiceAccount(about.namespace or "", about.name or "")
        if account_problem(self.store.world, account):
            missing = f'serviceaccounts "{account.name}" not found'
            if not namespace_exists(self.store.world, account.namespace):
                missing = f'namespaces "{account.namespace}" not found'
            raise Failure(HTTPStatus.NOT_FOUND, missing)
        audiences, ttl = _wishes(_body(request).get("spec"), self.audience)
        now = self.now() // SECOND
        token = self.issuer.issue(account, audiences=audiences, ttl=ttl, now=now)
        answer = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": account.name, "namespace": account.namespace},
            "spec": {"audiences": list(audiences), "expirationSeconds": ttl},
            "status": {"token": token, "expirationTimestamp": rfc3339((now + ttl) * SECOND)},
        }
        return HttpResponse(body=answer, status=HTTPStatus.CREATED)


def _wishes(spec: object, audience: str) -> tuple[tuple[str, ...], int]:
    asked = spec if isinstance(spec, dict) else {}
    audiences, ttl = asked.get("audiences") or [audience], asked.get("expirationSeconds", DEFAULT_TOKEN_TTL)
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise Failure(HTTPStatus.UNPROCESSABLE_ENTITY, "spec.audiences: write a list of strings")
    if not isinstance(ttl, int) or not LEAST_TOKEN_TTL <= ttl <= MOST_TOKEN_TTL:
        text = f"spec.expirationSeconds: write a number from {LEAST_TOKEN_TTL} to {MOST_TOKEN_TTL}"
        raise Failure(HTTPStatus.UNPROCESSABLE_ENTITY, text)
    return tuple(audiences), ttl


def _body(request: HttpRequest) -> Document:
    """JSON, or YAML for people with curl."""
    try:
        value = (
            json.loads(request.body) if request.body.lstrip()[:1] == b"{" else yaml.safe_load(request.body)
        )
    except (ValueError, yaml.YAMLError, RecursionError) as why:
        raise Failure(HTTPStatus.BAD_REQUEST, f"the body is neither JSON nor YAML: {why}") from why
    if not isinstance(value, dict):
        raise Failure(HTTPStatus.BAD_REQUEST, "the body is not an object")
    return value
