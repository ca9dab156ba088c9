"""How long does a network take?"""
