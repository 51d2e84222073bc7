"""Training through Lightning: the strategy, the module, the schedule, what is logged and saved."""
