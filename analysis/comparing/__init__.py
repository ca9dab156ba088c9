"""Which way is better?"""
