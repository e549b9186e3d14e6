"""The mouth of the system: HTTP and Socket.IO on one port."""
