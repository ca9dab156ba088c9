"""How is it trained?"""
