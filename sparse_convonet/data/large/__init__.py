"""Large scenes: halls, churches, streets, open ground."""
