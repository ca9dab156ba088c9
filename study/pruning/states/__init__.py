"""Where does a pipeline stand, and how is that kept?"""
