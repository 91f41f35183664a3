// Resident memory on Linux.

package bench

import (
	"bytes"
	"os"
	"strconv"
)

// resetPeak forgets the peak of resident memory so far.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// residentPeak is the most memory that was resident since resetPeak, in bytes.
func residentPeak() (float64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	fields := bytes.Fields(after)
	if len(fields) < 1 {
		return 0, false
	}
	kb, err := strconv.ParseFloat(string(fields[0]), 64)
	return kb * 1024, err == nil
}
