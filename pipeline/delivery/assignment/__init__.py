"""What follows an assignment of partitions: fencing, recovery, ownership, and watching the topics."""
