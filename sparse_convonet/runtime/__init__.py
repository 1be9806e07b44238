"""What every part runs on: files that appear whole, memory, processes, threads, how tools start and refuse."""
