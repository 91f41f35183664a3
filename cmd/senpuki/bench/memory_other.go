//go:build !linux

// Resident memory where nothing tells it.

package bench

func resetPeak() {}

func residentPeak() (float64, bool) { return 0, false }
