"""The Leaf on its own bus: EV-CAN or CAR-CAN heard, the battery controller asked."""
