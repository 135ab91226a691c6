"""
The demo: one page that runs the same experiments on three sessions side by side.

`cookie`, `whole` and `ours` answer the same requests with handlers of the same shape; `app` puts them behind one page.
"""
