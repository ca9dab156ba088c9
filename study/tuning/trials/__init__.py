"""What does one trial do and write?"""
