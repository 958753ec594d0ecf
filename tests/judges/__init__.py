"""Programs of others, unmodified, that judge the engine. See docs/judges.md."""
