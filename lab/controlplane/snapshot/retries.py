"""When a request is tried again, and where."""

from typing import Final

from envoy.config.route.v3.route_components_pb2 import RetryPolicy
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

from lab.controlplane.kinds.http_route import Retries
from lab.controlplane.snapshot.packing import pack, seconds

_ATTEMPTS: Final = 2
"""Istio's default."""
_RETRY_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_STATUS_CODES: Final = "retriable-status-codes"
_OTHER_HOST_ATTEMPTS: Final = 5
"""How often a retry looks for an endpoint that has not failed yet."""
_PRIORITY_ATTEMPTS: Final = 2
"""Failures at one priority before the next is tried."""


def retry_policy(retries: Retries | None, *, hashed: bool) -> RetryPolicy:
    """``hashed``: the request belongs to one endpoint, so that no other one is looked for unless a document
    says so."""
    policy = RetryPolicy(
        retry_on=_RETRY_ON,
        num_retries={"value": _ATTEMPTS},
        host_selection_retry_max_attempts=_OTHER_HOST_ATTEMPTS,
    )
    said = retries.ignore_previous_hosts if retries else None
    if not hashed if said is None else said:
        policy.retry_host_predicate.add(
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
        )
    if retries is None:
        return policy
    policy.num_retries.value = retries.attempts
    if retries.retry_on:
        _reasons(policy, retries.retry_on)
    if retries.per_try_timeout:
        policy.per_try_timeout.CopyFrom(seconds(retries.per_try_timeout))
    if retries.remote_localities:
        config = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=_PRIORITY_ATTEMPTS)
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        policy.retry_priority.typed_config.CopyFrom(pack(config))
    if retries.backoff:
        policy.retry_back_off.base_interval.CopyFrom(seconds(retries.backoff))
    return policy


def _reasons(policy: RetryPolicy, written: str) -> None:
    """Numbers among the reasons are status codes, and then that reason stands for them: behind a comma even
    where it is the only one, as istiod writes it."""
    reasons = [each for each in written.split(",") if each]
    codes = [int(each) for each in reasons if each.isdigit()]
    named = [each for each in reasons if not each.isdigit()]
    policy.retry_on = ",".join(named)
    if codes and _STATUS_CODES not in named:
        policy.retry_on += f",{_STATUS_CODES}"
    policy.retriable_status_codes.extend(codes)
