"""A benchmark and a trainer that Masters Harness finds by entry point."""
