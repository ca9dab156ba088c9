"""What is shown while it runs?"""
