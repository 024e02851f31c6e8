"""Masking of personal data in turns. `redactor.PatternAndNameRedactor` is the way in."""
