"""From which state, by which steps?"""
