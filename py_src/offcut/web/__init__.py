"""The only package that talks to the page: RPC handlers and the canvas."""
