"""How adapters sit on modules: PEFT behind one file, tuner layers of our own, live weights, merging. Needs torch."""
