"""Points in, a mesh out."""
