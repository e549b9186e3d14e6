"""What leaves for programs of other people: webhooks, their signatures, and who may be told what."""
