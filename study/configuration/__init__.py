"""What may a study file say?"""
