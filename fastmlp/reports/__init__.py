"""Reports on models of tables: one page of HTML that can be read without a network.

What is measured, what is drawn and how the page is made have modules of their own.
"""
