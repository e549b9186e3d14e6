"""HTTP, one file per noun. A route decodes, calls one use case, and renders; it decides nothing."""
