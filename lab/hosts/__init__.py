"""Hosts on one machine: each a network, mount, pid and UTS namespace with its own address, all on one
bridge.
"""
