"""Which answer a reply ends up with, read from its words (English)."""

from sycolens.measure.answer_extraction.extract import Reading, read_answer

__all__ = ["Reading", "read_answer"]
