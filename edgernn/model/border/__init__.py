"""Between readings and codes (NUMERICS.md section 9): channels, and what makes codes."""
