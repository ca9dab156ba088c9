"""What can only a GPU show?"""
