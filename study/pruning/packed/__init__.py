"""How is the same done in less time, by running several pipelines as one program?"""
