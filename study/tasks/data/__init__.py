"""Which examples, in which order and form?"""
