"""Tests of services/notifications/."""
