"""The meaning of Paceline: types, rules and use cases. No I/O library is imported below this package."""
