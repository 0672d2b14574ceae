"""Supply: is this equipment fit for this car, is it wired right, and what has been proven on this unit."""
