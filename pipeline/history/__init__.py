"""What was judged before: judging ranges of the topics again, and comparing verdicts. The commands of `ott` call it."""
