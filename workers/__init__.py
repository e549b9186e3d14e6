"""Later: the task bus, the relay that feeds it, the handlers that answer it, the schedule."""
