"""The verbs that trainers add to `harness`."""
