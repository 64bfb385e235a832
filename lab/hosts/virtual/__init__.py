"""The third kind of host: a Debian with its own kernel, under QEMU, on the same bridge.

layer.py makes what it boots from, computer.py is the metal of one, session.py the way in, host.py what a
test does with it. Everything is emulated (TCG): seconds instead of tenths, and it needs no KVM.
"""
