"""The risk rules: one file each, named as its id. Rules do not know of each other."""
