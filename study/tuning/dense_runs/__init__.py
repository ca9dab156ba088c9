"""What do trials share?"""
