"""Sockets: the Socket.IO server, the handshake, and one file per subject of events."""
