"""A path → the photos behind it, by name, label and given split: folders, tables, archives."""
