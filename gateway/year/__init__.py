"""A year of the owner's site on a virtual clock: what each way of running it costs, before anyone buys a charger.

The physics (``house``) is written again, independent of the optimizer; what is planned is judged by it.
"""
