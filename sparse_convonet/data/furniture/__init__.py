"""The furniture that scenes are filled with: its pack, its splits, and how they are made."""
