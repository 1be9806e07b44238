"""Stage baselines: surfaces without learning, for the same tables as the networks."""
