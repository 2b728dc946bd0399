"""How other frameworks ask, read and count our benchmarks: one package a framework, registered as protocols.

Each maps task name -> Rules. What a framework does not have (an edition, a task) is not in its mapping.
"""
