"""What was paid and saved?"""
