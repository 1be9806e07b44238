"""`sparse-convonet data ...`: what makes, prepares and inspects data sets."""
