"""Decides now: plain functions of a snapshot, and the tick that calls them."""
