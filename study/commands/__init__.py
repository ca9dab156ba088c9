"""What does the terminal's user ask for? Modules here import what they need when they run."""
