"""The YAML files of configs/: every key typed, checked and explained."""
