"""What the agent says about itself: the status document, the readiness endpoint. Learns everything as
values.
"""
