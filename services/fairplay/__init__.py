"""Fair play: what becomes of a workout whose rules have found something, and who has the last word."""
