"""Scenes: the drawing primitives and the visual skills that the mini tasks share."""
