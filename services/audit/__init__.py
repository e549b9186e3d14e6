"""What was done with privilege, and who looked at somebody else's health: kept so that a change of it is found."""
