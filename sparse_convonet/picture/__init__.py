"""The renderer of meshes: a cut-away picture on the CPU."""
