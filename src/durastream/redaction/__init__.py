"""Takes secrets out of everything that is recorded, before anything reaches a store."""
