"""Comparison grids: what varies along rows and columns, the pictures, their scores, and the sheet they are drawn on."""
