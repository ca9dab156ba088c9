"""What is measured again when the search is over?"""
