"""What does each section of a report say?"""
