"""Which entries of which tensors go together, and which of these go?"""
