"""What each stage of a run computes; one module a stage, each with a function ``make``."""
