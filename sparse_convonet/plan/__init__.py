"""What to do with a scan before doing it: what a user may choose, and the sizes, memory and time that follow."""
