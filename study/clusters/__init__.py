"""How does a study get onto machines that others share?"""
