"""Frequency reserve: measured Hz → what the armed devices do, whether an offer can be armed, and the proof of it. Pure."""
