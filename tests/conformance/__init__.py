"""Conformance to Engine.IO v4 and Socket.IO v5, by the letter of the two protocol documents.

The servers here are the plainest that the protocol texts describe: one that echoes every Engine.IO message, one with two
Socket.IO namespaces. The client speaks both protocols by hand, so that a test sees every packet, status and header that an
official client would have hidden from it. Each test is one expectation.

Every test runs on the standard event loop and on uvloop, whose transports differ where the engine touches them.
"""
