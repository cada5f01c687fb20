"""What is not public in torch, transformers and TransformerLens and yet needed: here, and nowhere else.

Each says with which versions it was verified; the tests on the newest versions tell when one of them changes.
"""
