"""Runs the main job of the product on one machine: a simulated house, its gateway, and a Home Assistant that shows it."""
