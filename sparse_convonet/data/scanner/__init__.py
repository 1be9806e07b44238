"""The virtual scanner: where it stands, what it sees, and its errors."""
