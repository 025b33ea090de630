"""What a person sees: pages and the components they are made of."""
