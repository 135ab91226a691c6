"""Where records live.  Each store is loaded only when it is chosen."""
