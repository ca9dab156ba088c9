"""Which machines, which worker? (``import ray`` is Ray itself, never this folder.)"""
