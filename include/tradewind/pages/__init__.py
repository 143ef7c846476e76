"""HTML pages as text: one look, charts as inline SVG, numbers in words.

Plain values go in, a self-contained page comes out; no network, no scripts, readable on a phone. Open `charts`
first.
May import `core` and below; knows nothing of what a page is about.
"""
