"""Would a reviewer accept it, and how far is it?"""
