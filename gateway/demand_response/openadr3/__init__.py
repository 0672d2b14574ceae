"""OpenADR 3.1 objects and their schedules, pure and tolerant; the 3.0.1 dialect is read where it differs."""
