"""Which trial has no future?"""
