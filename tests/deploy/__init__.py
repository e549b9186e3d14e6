"""What lies in deploy/ is held to the program: by validators that others wrote, by its relations to our own tables, and by
running whatever can run without a container engine."""
