"""What keeps the promises of `ports`: one adapter a file or folder; only `wiring` knows them."""
