"""``lab get``, ``apply`` and ``delete``: resources of the lab's control plane, in kubectl's words."""
