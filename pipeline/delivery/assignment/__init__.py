"""What an assignment brings: ownership, recovery, and watching the topics."""
