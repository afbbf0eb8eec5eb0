"""Cases that both error-rate rules share: failed, total, level."""

LEVELS = [
    (19, 19, None),
    (4, 20, None),
    (5, 20, "HIGH"),
    (20, 20, "HIGH"),
    (10, 50, "MEDIUM"),
    (11, 50, "HIGH"),
    (5, 50, None),
    (6, 50, "MEDIUM"),
    (6, 49, None),
    (9, 49, None),
    (10, 49, "HIGH"),
    (100, 1000, None),
    (101, 1000, "MEDIUM"),
    (200, 1000, "MEDIUM"),
    (201, 1000, "HIGH"),
    (0, 1000, None),
]
