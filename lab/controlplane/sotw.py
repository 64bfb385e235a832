"""State of the world: each request names all that is wanted, each response holds all of it.

Surprise:  only an answer to the newest response says what the client wants now; an older one was written
           before the client knew better.
"""

from lab.controlplane import type_urls
from lab.controlplane.session import Command, DeltaRequest, Request, Respond, Session, answered
from lab.controlplane.subscription import EVERYTHING, FOLLOWERS, Watch, nothing_behind


class SotwSession(Session):
    def _asked(self, request: Request | DeltaRequest) -> list[Command]:
        if isinstance(request, DeltaRequest):
            raise TypeError("a delta request on a stream of the other variant")
        watch = self._watches.get(request.type_url)
        if watch is None or not request.nonce:
            # The first request of this type, or a client that starts over on the same stream: it has nothing.
            fresh = self._watches[request.type_url] = Watch(type_url=request.type_url)
            _subscribe(fresh, request.names)
            return self._with_follower(fresh)
        commands = answered(watch, request)
        if not request.names and request.error is None and request.type_url not in type_urls.WILDCARD:
            del self._watches[request.type_url]  # given up, whichever response it had seen, as istiod has it
            return commands
        if request.nonce != watch.nonce:
            return commands
        had_everything, had_names = watch.everything, set(watch.names)
        _subscribe(watch, request.names)
        if not set(watch.names) <= had_names or (watch.everything and not had_everything):
            commands += self._with_follower(watch)
        return commands

    def _changed(self) -> list[Command]:
        commands: list[Command] = []
        owed: set[str] = set()
        for watch in self._in_push_order():
            if watch.type_url in owed or watch.wanted(self._snapshot) != watch.sent:
                commands += self._respond(watch)
                owed.add(FOLLOWERS.get(watch.type_url, ""))
        return commands

    def _with_follower(self, watch: Watch) -> list[Command]:
        commands = self._respond(watch)
        follower = self._watches.get(FOLLOWERS.get(watch.type_url, ""))
        return commands + self._respond(follower) if follower is not None else commands

    def _respond(self, watch: Watch) -> list[Command]:
        if watch.type_url not in type_urls.PUSH_ORDER:
            return []  # istiod is silent too about types it has no generator for
        if not watch.everything and not watch.names:
            return []
        wanted = watch.wanted(self._snapshot)
        found = ((name, self._snapshot.resource(watch.type_url, name)) for name in wanted)
        if watch.type_url == type_urls.ENDPOINT:
            content = [each or nothing_behind(name) for name, each in found]
        else:  # one that nobody knows is left out, which is how Envoy is told that there is none
            content = [each for _, each in found if each is not None]
        nonce, version = self._offer(watch)
        watch.sent = dict(wanted)
        return [Respond(type_url=watch.type_url, version=version, nonce=nonce, resources=tuple(content))]


def _subscribe(watch: Watch, names: tuple[str, ...]) -> None:
    """No names at all mean everything for a wildcard type and nothing for the others. What is no longer
    asked for was never sent, as far as later changes are concerned."""
    wildcard = watch.type_url in type_urls.WILDCARD
    watch.everything = wildcard and (not names or EVERYTHING in names)
    watch.names = () if watch.everything else names
    if not watch.everything:
        watch.sent = {name: watch.sent[name] for name in names if name in watch.sent}
