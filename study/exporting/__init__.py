"""How does a network leave the study?"""
