"""Remembers: what was measured, decided, planned and called, and the energy counters that never fall."""
