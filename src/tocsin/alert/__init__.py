"""From findings to alerts that people work on, and the notifications about them."""
