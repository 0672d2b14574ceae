"""What went over the wires: told while it happens, kept in files, and played again to the real drivers."""
