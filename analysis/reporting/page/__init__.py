"""What is a report made of, and how is it written out?"""
