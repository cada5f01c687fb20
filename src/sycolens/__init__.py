"""Find the attention heads behind a behaviour of a language model, prove that they matter, repair it."""
