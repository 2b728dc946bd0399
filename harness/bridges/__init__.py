"""Bridges: any task of lmms-eval or VLMEvalKit through our backends and our store, scored by its own code.

Each framework lives in an environment of its own (`harness bridge install`) and is talked to by subprocess and files:
it writes a task's requests, our engine answers them, it scores the answers. docs/bridges.md tells the whole story.
"""
