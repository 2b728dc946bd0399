"""What runs inside lmms-eval's and VLMEvalKit's environments, installed there as the package masters_harness_bridge.

Standard library, Pillow and the framework itself only: nothing of harness can be imported there.
"""
