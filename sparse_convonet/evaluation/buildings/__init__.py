"""Stage evaluation: a benchmark of whole buildings in metres, for meshes of any method."""
