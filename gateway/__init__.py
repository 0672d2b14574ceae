"""The gateway: a Leaf, its charger and a home battery run as one power plant, beside the fuse box.

- ``devices/`` touches wires, and nothing else does.
- ``control/`` decides now, ``planning/`` decides later; both are plain functions of a snapshot.
- ``demand_response/`` and ``api/`` bring wishes in and carry news out; a wish is never a command.
- The fast path (devices, control, state) and the services (planning, demand response, ledger, api) are two
  processes, joined by ``link.py`` alone. Either may die without the other.
"""

__version__ = "0.1.0"
