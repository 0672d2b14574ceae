"""Decides later: prices and trips in, a plan out. Plain functions of what is known now."""
