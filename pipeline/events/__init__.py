"""The event contract: models, strict reading, normal forms."""
