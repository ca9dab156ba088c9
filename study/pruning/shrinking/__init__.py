"""What is left when nothing dead is carried along?"""
