// Tests of the comparison with recorded results.

package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func share(v float64) *float64 { return &v }

func TestCompare(t *testing.T) {
	t.Parallel()
	records := []Record{
		{Workload: "throughput", Backend: "sqlite", ShareOfLimit: share(0.25), Band: 0.4},
		{Workload: "sleepers", Backend: "sqlite", Value: share(40), Unit: "bytes/execution", Band: 0.5},
	}
	for _, test := range []struct {
		name    string
		results []Result
		says    []string
	}{
		{"as recorded", []Result{{Workload: "throughput", Backend: "sqlite", ShareOfLimit: share(0.25)}, {Workload: "sleepers", Backend: "sqlite", Value: 40}}, nil},
		{"better", []Result{{Workload: "throughput", Backend: "sqlite", ShareOfLimit: share(0.9)}, {Workload: "sleepers", Backend: "sqlite", Value: 4}}, nil},
		{"inside the band", []Result{{Workload: "throughput", Backend: "sqlite", ShareOfLimit: share(0.16)}, {Workload: "sleepers", Backend: "sqlite", Value: 59}}, nil},
		{"outside", []Result{{Workload: "throughput", Backend: "sqlite", ShareOfLimit: share(0.14)}, {Workload: "sleepers", Backend: "sqlite", Value: 61, Unit: "bytes/execution"}},
			[]string{"throughput: 14 % of limit, recorded are 25 % and at least 15 %", "sleepers: 61.0 bytes/execution, recorded are 40.0 and at most 60.0"}},
		{"another backend", []Result{{Workload: "throughput", Backend: "memory", ShareOfLimit: share(0.01)}}, []string{"no result has a record"}},
		{"nothing", nil, []string{"no result has a record"}},
	} {
		err := Compare(records, test.results)
		if (err != nil) != (test.says != nil) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, says := range test.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v does not say %q", test.name, err, says)
			}
		}
	}
}

func TestReadRecords(t *testing.T) {
	t.Parallel()
	all, err := ReadRecords("recorded.json")
	if err != nil || len(all) == 0 {
		t.Fatalf("%v %v", all, err)
	}
	for _, r := range all {
		if Check(r.Workload) != nil {
			t.Errorf("there is no workload %q", r.Workload)
		}
	}
	path := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(path, []byte(`[{"workload":"throughput","backend":"sqlite","band":0.3}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecords(path); err == nil || !strings.Contains(err.Error(), "either a share_of_limit or a value") {
		t.Error(err)
	}
	if _, err := ReadRecords(filepath.Join(t.TempDir(), "none.json")); !os.IsNotExist(err) {
		t.Error(err)
	}
}
