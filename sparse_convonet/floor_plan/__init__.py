"""Stage floor_plan: level sections of the occupancy field become walls, rooms and openings, storey by storey."""
