"""What is worth trying next, stage by stage, by the trials so far?"""
