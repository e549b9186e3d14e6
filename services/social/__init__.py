"""What people are to each other: whom they do not want to hear, and how what they say is kept decent."""
