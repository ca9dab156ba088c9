"""How far, and what did finding it cost?"""
