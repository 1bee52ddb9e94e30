"""What connects the rules to the outside: databases, the Docker Engine, the operating system."""
