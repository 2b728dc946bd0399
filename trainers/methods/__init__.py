"""The methods, one file each, which says only what differs."""
