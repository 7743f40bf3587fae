"""`python -m core evaluate hand`: methods of training over folders of artworks and photos, in one resumable run."""
