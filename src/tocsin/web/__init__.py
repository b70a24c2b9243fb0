"""The console: server-rendered pages, a little JavaScript of our own, nothing loaded from elsewhere."""
