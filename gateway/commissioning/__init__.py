"""Commissioning: proofs on the real equipment, which move a little power on purpose, with the gateway stopped.

Control has no part in it: a few fixed orders, each a lease, watched by the grid meter, always ended by release.
"""
