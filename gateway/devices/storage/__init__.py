"""Home batteries, one file per way of talking to them; ``order.py`` decides for all what to write and when."""
