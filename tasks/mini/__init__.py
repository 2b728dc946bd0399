"""The mini edition: small drawn items in the schema of every benchmark, for checks and for training tiny models.

`tasks.mini.<task>:rows(split, size, seed)` yields rows in the VLMEvalKit schema of that benchmark, plus three columns
of our own: `target` (what an ideal model answers to the official prompt), `skill` (which scene drew the item) and
`table` (the real table behind a chart, else ""). The items say nothing about a model's skill on the real benchmark.
"""
