"""Brings the owner's wishes in and carries news out: HTTPS and WebSocket under ``/v1``, for paired clients only."""
