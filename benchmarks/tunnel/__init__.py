"""A pyxfrm end against a kernel end, in the lab."""
