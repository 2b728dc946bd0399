"""Distillation trainers: plug-ins that yield stages, each of which the harness evaluates."""
