"""The report API: what a competition shows to its web app, and its tape for download. It only reads."""
