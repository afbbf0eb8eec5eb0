"""What all workers of an application share through topics: rule sets, pauses, revocations and the origin key."""
