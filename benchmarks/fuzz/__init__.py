"""Own generators of bad input, seeded: what ends in a traceback, a hang, or silence?"""
