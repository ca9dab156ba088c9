"""How is the same done in less time, by leaving pruned weights out?"""
