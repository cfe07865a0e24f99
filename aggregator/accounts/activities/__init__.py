"""What no meter counts: fuel, material, production, laboratory values, and what they emit per product."""
