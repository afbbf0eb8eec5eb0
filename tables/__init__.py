"""Everything that is persisted in a table: one module per table, with its keys and its codec.

`tables/forms.py` lists every kind of record and says which module has its form.
"""
