"""What makes two tasks the same, so that studies may share what they trained?"""
