"""The other side of the wire: an embedded control plane and hosts to run agents on.

Never shipped with the agent.
"""
