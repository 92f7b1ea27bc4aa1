"""Photos and a backbone in, a bundle out; torch only inside the parts that convert weights."""
