"""What leaves for programs of other people."""
