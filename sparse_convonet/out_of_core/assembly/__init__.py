"""The meshes of tiles joined to one mesh, measured and drawn."""
