"""Clients of Paceline: the simulated device, the reference client, replay and load. They speak only the public
protocol."""
