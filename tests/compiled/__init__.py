"""The modules on the way of every frame, compiled: that they are what runs then, and that everything holds all the same."""
