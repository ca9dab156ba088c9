"""What is in the files of a study folder, and what is wrong with them?"""
