"""One module for each DVC stage; each has one function, called with a workspace and the name of a row."""
