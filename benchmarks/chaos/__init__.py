"""What is left of a study whose processes are killed?"""
