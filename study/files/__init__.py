"""What may be opened, where it is, and what is in it?"""
