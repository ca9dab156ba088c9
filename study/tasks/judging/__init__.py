"""How good is a network?"""
