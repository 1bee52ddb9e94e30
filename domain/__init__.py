"""The product's rules: commands, events, lifecycle, policy, chain. Pure: no clock, no ids, no I/O."""
