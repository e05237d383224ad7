"""Side-by-side measurements: equality first, then interleaved runs. See NOTES.md."""
