"""What scenes are made of: solids, placed furniture, places to walk."""
