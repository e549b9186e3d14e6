"""Live classes: what a class is, who may join it, how it ends."""
