"""Which weights go, how many, from where?"""
