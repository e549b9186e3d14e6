"""What is kept about people: a register of every column, and what is done with it for and after its person."""
