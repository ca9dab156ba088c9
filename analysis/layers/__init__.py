"""Which layers?"""
