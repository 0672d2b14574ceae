"""Bidirectional chargers that steer car and session themselves and take a set-point on Modbus.

A make is a ``Panel`` (its registers) and a ``Make`` (its habits); what is told when is decided in ``steering``.
"""
