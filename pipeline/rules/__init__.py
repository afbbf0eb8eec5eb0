"""The risk rules: one file per rule, named after its id. Rules do not import each other."""
