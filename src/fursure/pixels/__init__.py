"""Deep, transparent, coloured or turned pixels → plain upright RGB."""
