"""Point clouds: what is left out of them, and what they are like."""
