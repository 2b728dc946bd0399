"""Backends behind the Model protocol, found by entry point (group harness.models); importing this costs nothing."""
