"""A closed loop in virtual time: simulated plants, real drivers over their protocols, the edge's control and the planner. Not a demonstration to look at."""
