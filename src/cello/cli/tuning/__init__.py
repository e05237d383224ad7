"""`cello tune`: what is searched, the study that remembers it, and its trials.

Imported by the command `tune`. Optuna is imported when it runs.
"""
