"""The pages that people look at: HTML made here, one style sheet, a little script, nothing from another host."""
