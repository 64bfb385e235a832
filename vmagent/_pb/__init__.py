"""Generated protobuf stubs (`make proto`); the messages are in wire.proto."""
