"""Many event loops and many gRPC servers in one process, one after the other."""

import grpc.aio

# Without a reference of ours gRPC ends its thread whenever the last of its objects is collected, in the
# middle of another test as well, and waits for it, now and then for ever.
grpc.aio.init_grpc_aio()  # type: ignore[attr-defined]  # public, and not in the stubs
