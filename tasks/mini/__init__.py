"""The mini edition: deterministic generators of items in the real schemas."""
