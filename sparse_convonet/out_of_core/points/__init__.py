"""The points of a scan on the disk."""
