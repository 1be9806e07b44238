"""The command `sparse-convonet`, a module for each subcommand: it reads the options, then imports what does the work.

Of subcommands whose work fills a file, that file stands beside: compare.py reads the options, comparing.py works.
"""
