"""Loads that can be switched off, one file per way of switching."""
