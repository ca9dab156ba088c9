"""How do zeros stay zero?"""
