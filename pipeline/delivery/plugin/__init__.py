"""What Faust is given in the place of its own parts: transport, consumer, reading of fetched bytes."""
