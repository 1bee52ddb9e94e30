"""What containers, networks and stacks were like at any moment, told from the log alone. No path leads to Docker."""
