"""Tests of the floor that imports all others: settings, logs, the local servers, the lock files."""
