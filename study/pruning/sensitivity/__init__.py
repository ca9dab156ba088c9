"""How much can each layer take on its own?"""
