"""Models: what they are described by, and how they are built from verified bytes."""
