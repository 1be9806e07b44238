"""From features at a point to its occupancy."""
