"""The utility's wishes: calls are parsed tolerantly, stored before they are answered, arbitrated by a published precedence.

A wish is never a command: what leaves this room are ``GridWindow`` (limits, dispatch, shed) and ``GridEvent`` (the calls as
the owner sees them); the control room decides what the devices do about them.
"""
