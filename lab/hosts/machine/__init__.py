"""The second kind of host: a Debian with its own systemd, under systemd-nspawn, on the same bridge.

tree.py makes what they boot from, chassis.py is the metal of one, host.py what a test or a shell does with
it, provision.py runs lab/provision in it.
"""
