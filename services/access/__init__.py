"""Who may do what: roles, permissions, and the one function that decides."""
