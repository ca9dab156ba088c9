"""What is asked for on machines that others share."""
