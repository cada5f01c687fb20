"""How a result looks in a notebook: a line, a small figure and a key table, as HTML without script or style sheet."""
