"""Work that takes long: what it is (`task.py`), and what its owner can do with it (`tasks.py`)."""
