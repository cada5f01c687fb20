"""Which answer a reply ends up with (English)."""

from sycolens.measure.answer_extraction.extract import Reading, read_answer

__all__ = ["Reading", "read_answer"]
