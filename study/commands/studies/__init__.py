"""How is a whole study run, from its first trial to its report?"""
