"""What the benchmark runs in processes of their own, so that each can be weighed."""
