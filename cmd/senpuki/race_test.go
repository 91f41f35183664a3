// Whether the race detector is in this binary.

//go:build race

package main_test

// A binary with the race detector takes ten times as long to start, and nearly
// all that TestKill does is starting processes.
func init() { raceKills, underRace = 40, true }
