"""Which units go for the least loss under a budget?"""
